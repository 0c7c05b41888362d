/* A plugin's own process as the product runs it, with its lines counted: stands for the product's program in the tests
 * of a build with b_coverage. */
#include "counted.h"
#include "link/runner.h"

int main(int argc, char **argv)
{
    counted_start();
    return runner_main(argc - 1, argv + 1);
}
