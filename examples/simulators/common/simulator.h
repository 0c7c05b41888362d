/* A simulator's main function, and the part of its help that all have. */
#ifndef SIMULATOR_H
#define SIMULATOR_H

#include "vend.h"

#define SIMULATOR_KEY "sim-key"

#define SIMULATOR_OPTIONS(key)                                                                                         \
    "  --port N            port; 0 chooses one (default 0); the address is printed\n"                                  \
    "  --port-file FILE    writes the port there when ready\n"                                                         \
    "  --ledger FILE       keeps the books in FILE, one JSON object per line, synced before an answer leaves\n"        \
    "                      (default: in memory)\n"                                                                     \
    "  --key [" key "=]KEY     the key of all, or of one (default " SIMULATOR_KEY ")\n"                                \
    "  --delay-ms MEAN     delays every answer, exponentially distributed (default 0)\n"                               \
    "  --faults RATE       share of requests disturbed, 0 to 1 (default 0): connection cut before or after vending, "  \
    "503\n"                                                                                                            \
    "                      before, 502 after, DUPLICATE after, late by --settle-ms; of verify requests: cut or 503\n"  \
    "  --seed N            of delays and faults (default 1)\n"                                                         \
    "  --slow-ms N         how late a late answer is (default 40000)\n"                                                \
    "  --hang-ms N         when a connection without an answer is closed (default 120000)\n"                           \
    "  --settle-ms N       how long a vend that settles late is pending (default 3000)\n"                              \
    "  --float NAIRA       what each merchant account begins with (default 1000000000)\n"                              \
    "  --quiet             no line per request on stderr\n"

#define SIMULATOR_WEBHOOK_OPTIONS                                                                                      \
    "  --webhooks URL      tells by itself what became of an order: POST URL/VENDOR (default: tells nobody)\n"         \
    "  --webhook-ms N      so long after it is decided (default 300); again, a second apart, until it is taken\n"      \
    "  --webhook-faults R  share of them that come twice, late, or after a forged one (default 0)\n"                   \
    "  --strict            numbers that are not listed fail, as in the vendor's own sandbox\n"

int simulator_main(const struct trade *trade, int argc, char **argv);

#endif
