/* Libraries as hostile or broken files, and the copies that the host makes of them. */
#include "core/elf.h"
#include "files.h"
#include "virtual.h"

#include <dirent.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const PLUGINS[] = {"echo", NULL};
static uint64_t seed = 3;

static uint64_t next(void)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return seed >> 24;
}

static uint8_t *plugin_bytes(size_t *ret_size)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    char path[128];
    snprintf(path, sizeof path, "%s/plugins/echo.so", v->home);
    uint8_t *bytes = files_read(path, ret_size);
    virtual_free(v);
    return bytes;
}

/* Each mutant lies in a block of just its size, so that one byte too far is seen. */
START_TEST(mutants)
{
    size_t size;
    uint8_t *bytes = plugin_bytes(&size);
    cvm_plugin_descriptor d;
    char why[256] = "";
    int good = 0, bad = 0;
    ck_assert_int_eq(elf_read_identity(bytes, size, &d, why, sizeof why), 0);
    ck_assert_str_eq(d.name, "echo");
    Elf64_Ehdr h;
    memcpy(&h, bytes, sizeof h);
    for (int i = 0; i < 20000; i++) {
        size_t n = next() % 8 ? size : next() % (size + 1);
        uint8_t *mutant = malloc(n ? n : 1);
        memcpy(mutant, bytes, n);
        for (uint64_t k = 1 + next() % 8; k && n; k--) {
            size_t headers = h.e_shoff + next() % ((size_t)h.e_shnum * sizeof(Elf64_Shdr));
            size_t at = next() % 3 ? next() % n : next() % 2 ? next() % 1024 % n : headers % n;
            mutant[at] = (uint8_t)(next() % 4 ? next() : 0xff);
        }
        why[0] = 0;
        int e = elf_read_identity(mutant, n, &d, why, sizeof why);
        ck_assert(e == 0 || (e < 0 && why[0]));
        if (e == 0) {
            ck_assert(memchr(d.name, 0, sizeof d.name) && memchr(d.version, 0, sizeof d.version));
            ck_assert_uint_ge(d.size, sizeof d);
        }
        good += e == 0;
        bad += e != 0;
        free(mutant);
    }
    ck_assert_int_gt(good, 100);
    ck_assert_int_gt(bad, 100);
    free(bytes);
}
END_TEST

/* Tens of thousands of tables of a million symbols each, all in the same bytes: refused before anyone waits. */
START_TEST(endless_tables)
{
    size_t symbols = 1000000, size = sizeof(Elf64_Ehdr) + 65000 * sizeof(Elf64_Shdr) + symbols * sizeof(Elf64_Sym);
    uint8_t *bytes = calloc(1, size);
    Elf64_Ehdr h = {.e_type = ET_DYN, .e_shoff = sizeof h, .e_shnum = 65000};
    memcpy(h.e_ident, ELFMAG, SELFMAG);
    h.e_ident[EI_CLASS] = ELFCLASS64;
    memcpy(bytes, &h, sizeof h);
    for (size_t i = 0; i < 65000; i++) {
        Elf64_Shdr section = {.sh_type = SHT_DYNSYM,
                              .sh_offset = sizeof h + 65000 * sizeof(Elf64_Shdr),
                              .sh_size = symbols * sizeof(Elf64_Sym)};
        memcpy(bytes + sizeof h + i * sizeof section, &section, sizeof section);
    }
    cvm_plugin_descriptor d;
    char why[256];
    clock_t begun = clock();
    ck_assert_int_eq(elf_read_identity(bytes, size, &d, why, sizeof why), CVM_EINVAL);
    ck_assert(clock() - begun < 2 * CLOCKS_PER_SEC);
    free(bytes);
}
END_TEST

static void path_of_copy(const struct virtual *v, char ret_path[400])
{
    char folder[128];
    snprintf(folder, sizeof folder, "%s/data/builds", v->home);
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while ((entry = readdir(dir)))
        if (strstr(entry->d_name, ".so")) /* not its manifest, which is kept beside it */
            snprintf(ret_path, 400, "%s/%s", folder, entry->d_name);
    closedir(dir);
}

/* A copy of the right name and size with other bytes, as a power cut may leave it, is not opened. */
START_TEST(stale_copy)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    struct answer_seen a = {0};
    char path[400] = "";
    size_t size, n;
    virtual_open(v);
    virtual_close(v);
    path_of_copy(v, path);
    uint8_t *bytes = files_read(path, &size), *zeros = calloc(1, size), *now;
    files_write(path, zeros, size);
    virtual_open(v);
    ck_assert_int_eq(virtual_call(v, "test.echo_a", "heard", NULL, &a), CVM_REPLIED);
    now = files_read(path, &n);
    ck_assert(n == size && memcmp(now, bytes, size) == 0);
    free(bytes);
    free(zeros);
    free(now);
    json_decref(a.data);
    virtual_free(v);
}
END_TEST

static void expect_refusal(struct virtual *v, const char *part)
{
    char error[512] = "";
    struct core *core = NULL;
    struct core_options options = {.home = v->home, .config = v->config, .seed = 42};
    ck_assert_int_eq(core_open(&options, &core, error, sizeof error), 0);
    ck_assert_int_lt(core_load(core, error, sizeof error), 0);
    ck_assert_msg(strstr(error, part) != NULL, "%s", error);
    core_close(core);
}

START_TEST(refusals_say_why)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    char path[128], other[128];
    size_t size;
    snprintf(path, sizeof path, "%s/plugins/echo.so", v->home);
    uint8_t *bytes = files_read(path, &size);
    files_write(path, bytes, size / 2);
    expect_refusal(v, "cut off");
    files_write(path, bytes, 0);
    expect_refusal(v, "not an ELF file");
    for (size_t i = 0; i + 8 <= size; i++)
        if (memcmp(bytes + i, CVM_MAGIC, 8) == 0)
            bytes[i + 12] = 9; /* abi_major */
    files_write(path, bytes, size);
    expect_refusal(v, "ABI 9.");
    unlink(path);
    expect_refusal(v, "echo.so");
    snprintf(other, sizeof other, "%s/manifests/echo.json", v->home);
    ck_assert_int_eq(unlink(other), 0);
    free(bytes);
    virtual_free(v);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("loader");
    TCase *c = tcase_create("loader");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, mutants);
    tcase_add_test(c, endless_tables);
    tcase_add_test(c, stale_copy);
    tcase_add_test(c, refusals_say_why);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
