/* A plugin's own process: loads the unchanged library, takes turns from the link, gives back what they would do. */
#ifndef HOST_LINK_RUNNER_H
#define HOST_LINK_RUNNER_H

/* "run-plugin NAME library|program PATH MEMORY-MIB" with the link at LINK_FD. Gives the exit status. */
int runner_main(int argc, char **argv);

#endif
