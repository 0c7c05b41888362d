/* The program: the host's own processes by their command word, everything else is the command line client. */
#include "cli/cli.h"
#include "cli/serve.h"
#include "link/runner.h"

#include <stdlib.h>

/* "cvmhost --home DIR serve" is "cvmhost serve --home DIR": the word goes first. Gives the new line in place. */
static void put_first(char **argv, int at)
{
    char *word = argv[at];
    for (; at > 1; at--)
        argv[at] = argv[at - 1];
    argv[1] = word;
}

/* Read by jemalloc, where it is linked. What is free goes back within a second of work; three threads ask for memory
 * often. */
extern const char *malloc_conf;
const char *malloc_conf = "narenas:4,dirty_decay_ms:1000,muzzy_decay_ms:0";

/* Where the command word stands: the first argument that is neither an option nor its value. 0: there is none. */
static int find_word(int argc, char **argv)
{
    struct args args = {.argc = argc, .argv = argv, .at = 1};
    for (enum arg_kind kind; (kind = args_next(&args)) != ARG_END;) {
        if (kind == ARG_WORD)
            return args.at - 1;
        if (strcmp(args.name, "help") != 0 && strcmp(args.name, "no-start") != 0)
            (void)args_value(&args);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "run-plugin") == 0)
        return runner_main(argc - 1, argv + 1);
    int at = find_word(argc, argv);
    if (at && strcmp(argv[at], "serve") == 0) {
        put_first(argv, at);
        return serve_main(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], "host") == 0)
        return host_main(argc - 1, argv + 1);
    return cli_main(argc, argv);
}
