/* The program: `serve` supervises, the hidden `host` is what it supervises, everything else is a command. */
#include "cli/cli.h"
#include "cli/serve.h"

#include <string.h>

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "serve") == 0)
        return serve_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "host") == 0)
        return host_main(argc - 1, argv + 1);
    return cli_main(argc, argv);
}
