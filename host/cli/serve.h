/* `cvmhost serve`: opens what a host needs in its home (lock, configuration, listening sockets) and runs the host under
 * a supervisor, or by itself with --no-supervise. In both functions argv[0] is the command word ("serve", "host"), its
 * options follow; the result is the exit status of the process. */
#ifndef HOST_CLI_SERVE_H
#define HOST_CLI_SERVE_H

/* Options: --home DIR, --config FILE, --port N, --log-level LEVEL, --no-supervise, --private, --help.
 * --private is what a command starts when no host runs in its home: no HTTP listener, and it ends by itself when its
 * last control connection has closed (or none came within 10 s). Where another host has the home it ends with
 * SERVE_TAKEN and says nothing. A host that is meant to stay waits for a private one to go. */
#define SERVE_TAKEN 75
int serve_main(int argc, char **argv);

/* The supervised process. Hidden: only serve_main runs it, with the descriptors it inherits as options. */
int host_main(int argc, char **argv);

#endif
