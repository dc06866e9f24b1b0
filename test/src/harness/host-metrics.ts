/** Figures of the hub's process, where that is not the primary. */
export const OF_HUBS_PROCESS = /^holdfast_hub_(resident|heap|event_loop)_/;

/** Figures that only clusters with a backplane have, by their names. */
export const OF_HOSTS = /^holdfast_(hosts|backplane_)/;
