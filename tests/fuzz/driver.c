/* Runs a fuzz target without libFuzzer: every file of the corpus as it is, then mutants of them for a number of
 * seconds, the same ones in the same order each time. An input lies against a page that may not be touched, so that one
 * byte too far is seen without a sanitizer too. The input that ends the process is left behind in a file. One thread.
 *
 *     fuzz_elf [-seconds=S] [-runs=N] [-seed=N] [-keep=FILE] CORPUS... */
#include "fuzz.h"

#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SEEDS_MAX 1024
#define INPUT_MAX_BYTES (256 * 1024)
#define ONE_INPUT_SECONDS 10

static struct seed {
    uint8_t *at;
    size_t size;
} seeds[SEEDS_MAX];
static size_t n_seeds;
static uint64_t state = 1;
static const char *keep = "fuzz-input";
static uint8_t *guard; /* the page that may not be touched */
static const uint8_t *input;
static size_t input_size;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 2685821657736338717ULL >> 16;
}

static size_t below(size_t n)
{
    return n ? next() % n : 0;
}

/* ---- mutants ---- */

static void put_number(uint8_t *data, size_t size)
{
    static const uint64_t numbers[] = {0,          1,          2,         0x7f,      0x80,       0xff,
                                       0x7fff,     0x8000,     0xffff,    0x1000,    0x7fffffff, 0x80000000,
                                       0xffffffff, 0x10000000, INT64_MAX, UINT64_MAX};
    size_t width = (size_t)1 << below(4);
    if (size < width)
        return;
    size_t at = below(size - width + 1);
    if (next() % 4)
        at -= at % width; /* numbers of binary formats are aligned */
    uint64_t n = 0;
    memcpy(&n, data + at, width);
    n = next() % 3 ? numbers[below(sizeof numbers / sizeof *numbers)] : n + below(33) - 16;
    memcpy(data + at, &n, width);
}

static size_t change_once(uint8_t *data, size_t size, size_t max_size)
{
    const struct seed *other = &seeds[below(n_seeds)];
    size_t at = below(size), n = 1 + below(size - at > 64 ? 64 : size - at);
    switch (next() % 8) {
    case 0:
        if (size)
            data[at] ^= (uint8_t)(1u << below(8));
        return size;
    case 1:
        if (size)
            data[at] = (uint8_t)next();
        return size;
    case 2:
    case 3:
        put_number(data, size);
        return size;
    case 4: /* less */
        if (n > size - at)
            return size;
        memmove(data + at, data + at + n, size - at - n);
        return size - n;
    case 5: /* more of the same */
        if (n > size - at || size + n > max_size)
            return size;
        memmove(data + at + n, data + at, size - at);
        return size + n;
    case 6: /* a piece of another */
        if (n > size - at || !n_seeds || other->size < n)
            return size;
        memcpy(data + at, other->at + below(other->size - n + 1), n);
        return size;
    default:
        return next() % 8 ? size : at; /* cut off */
    }
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
    for (size_t times = 1 + below(4); times > 0; times--)
        size = change_once(data, size, max_size);
    return size;
}

/* ---- running ---- */

static void keep_input(int number)
{
    FILE *f = fopen(keep, "we");
    if (f) {
        fwrite(input, 1, input_size, f);
        fclose(f);
    }
    fprintf(stderr, "signal %d; the input, %zu bytes, is in %s\n", number, input_size, keep);
    signal(number, SIG_DFL);
    raise(number);
}

static void run(const uint8_t *data, size_t size)
{
    input = memcpy(guard - size, data, size);
    input_size = size;
    alarm(ONE_INPUT_SECONDS);
    LLVMFuzzerTestOneInput(guard - size, size);
}

static int read_seed(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)where;
    if (type != FTW_F || n_seeds == SEEDS_MAX || st->st_size > INPUT_MAX_BYTES / 2)
        return 0;
    FILE *f = fopen(path, "re");
    uint8_t *bytes = malloc((size_t)st->st_size + 1);
    if (f && bytes)
        seeds[n_seeds++] = (struct seed){bytes, fread(bytes, 1, (size_t)st->st_size, f)};
    else
        free(bytes);
    if (f)
        fclose(f);
    return 0;
}

/* The order in which a folder lists its files must not decide which mutants there are. */
static int compare(const void *a, const void *b)
{
    const struct seed *x = a, *y = b;
    size_t n = x->size < y->size ? x->size : y->size;
    int order = n ? memcmp(x->at, y->at, n) : 0;
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

static void prepare(void)
{
    size_t room = INPUT_MAX_BYTES, page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *block = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED || mprotect(block + room, page, PROT_NONE) < 0) {
        perror("fuzz: memory");
        exit(1);
    }
    guard = block + room;
    const int ends[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        signal(ends[i], keep_input);
    qsort(seeds, n_seeds, sizeof *seeds, compare);
}

static bool number_option(const char *argument, const char *name, uint64_t *ret_value)
{
    size_t n = strlen(name);
    if (strncmp(argument, name, n) != 0)
        return false;
    *ret_value = strtoull(argument + n, NULL, 10);
    return true;
}

int main(int argc, char **argv)
{
    static uint8_t mutant[INPUT_MAX_BYTES];
    uint64_t seconds = 1, runs = UINT64_MAX, done = 0;
    for (int i = 1; i < argc; i++)
        if (number_option(argv[i], "-seconds=", &seconds) || number_option(argv[i], "-runs=", &runs) ||
            number_option(argv[i], "-seed=", &state))
            continue;
        else if (strncmp(argv[i], "-keep=", 6) == 0)
            keep = argv[i] + 6;
        else if (nftw(argv[i], read_seed, 16, FTW_PHYS) < 0)
            fprintf(stderr, "fuzz: %s: cannot be read\n", argv[i]);
    if (n_seeds == 0) {
        fprintf(stderr, "fuzz: there is no corpus\n");
        return 1;
    }
    prepare();
    state = state ? state : 1;
    for (size_t i = 0; i < n_seeds; i++)
        run(seeds[i].at, seeds[i].size);
    for (time_t end = time(NULL) + (time_t)seconds; done < runs && (done % 64 || time(NULL) < end); done++) {
        const struct seed *s = &seeds[below(n_seeds)];
        memcpy(mutant, s->at, s->size);
        size_t size = s->size, max_size = sizeof mutant / 2;
        unsigned seed = (unsigned)next();
        size = LLVMFuzzerCustomMutator ? LLVMFuzzerCustomMutator(mutant, size, max_size, seed)
                                       : LLVMFuzzerMutate(mutant, size, max_size);
        run(mutant, size);
    }
    printf("%zu inputs, %llu mutants\n", n_seeds, (unsigned long long)done);
    for (size_t i = 0; i < n_seeds; i++)
        free(seeds[i].at);
    return 0;
}
