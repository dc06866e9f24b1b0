#!/usr/bin/env node
/** The command line. A file that is there before anything is compiled, so that installing can link it. */
import "../dist/bundle/command-line.js";
