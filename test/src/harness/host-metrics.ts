/** Figures that only clusters with a backplane have, by their names. */
export const OF_HOSTS = /^holdfast_(hosts|backplane_)/;
