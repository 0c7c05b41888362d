/* `plugin vet FILE`: what a library's file alone tells, beside its manifest where there is one. Needs no host and runs
 * no code of the file. */
#include "cli/cli.h"

#include "cli/show.h"
#include "core/file.h"
#include "core/manifest.h"
#include "core/vet.h"
#include "core/vet_program.h"
#include <stdlib.h>
#include <unistd.h>

#define ERROR_SIZE 1024
#define PATH_SIZE 4096

/* ---- the manifest ---- */

/* NAME.json beside FILE, or in the folder `manifests` beside FILE's. Gives "" where there is none. */
static void find_manifest(const char *file, char ret_path[PATH_SIZE])
{
    const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file, *dot = strrchr(name, '.');
    int folder = (int)(name - file), stem = (int)(dot ? (size_t)(dot - name) : strlen(name));
    static const char *const places[] = {"", "../manifests/"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int n = snprintf(ret_path, PATH_SIZE, "%.*s%s%.*s.json", folder, file, places[i], stem, name);
        if (n > 0 && n < PATH_SIZE && access(ret_path, R_OK) == 0)
            return;
    }
    ret_path[0] = 0;
}

/* The library as it describes itself against the manifest, as the loader compares them. */
static int compare(const char *path, const cvm_plugin_descriptor *d, char *ret_error)
{
    struct manifest *m = NULL;
    char abi[16];
    int e = manifest_load(path, &m, ret_error, ERROR_SIZE);
    if (e)
        return e;
    snprintf(abi, sizeof abi, "%u.%u", d->abi_major, d->abi_minor);
    bool serves = m->abi_major == d->abi_major && m->abi_minor <= d->abi_minor; /* what the manifest asks for */
    const struct {
        const char *what, *manifest, *library;
        bool fits;
    } pairs[] = {{"name", m->name, d->name, strcmp(m->name, d->name) == 0},
                 {"version", m->version, d->version, strcmp(m->version, d->version) == 0},
                 {"abi", m->abi, abi, serves}};
    for (size_t i = 0; !e && i < sizeof pairs / sizeof *pairs; i++) {
        if (pairs[i].fits)
            continue;
        e = CVM_EABI;
        snprintf(ret_error, ERROR_SIZE,
                 "%s: %s: the manifest says \"%.80s\", the library \"%.80s\"; build it again, or mend the manifest",
                 path, pairs[i].what, pairs[i].manifest, pairs[i].library);
    }
    manifest_free(m);
    return e;
}

/* ---- showing ---- */

static void show_verdict(const struct cli *cli, const char *what, bool may, const json_t *reasons)
{
    fprintf(cli->out, "  %-7s %s%s%s", what, may ? show_green(cli) : show_red(cli), may ? "yes" : "no",
            show_plain(cli));
    char *cell = json_array_size(reasons) ? show_cell(reasons) : NULL;
    fprintf(cli->out, "%s%s\n", cell ? "  " : "", cell ? cell : "");
    free(cell);
}

static void show_finding(const struct cli *cli, const json_t *finding)
{
    char *blocks = show_cell(json_object_get(finding, "blocks"));
    bool warning = !blocks || !*blocks;
    fprintf(cli->out, "\n%s%s%s%s  %s\n    %s.\n", warning ? show_bold(cli) : show_red(cli),
            warning ? "warning" : "not ", warning ? "" : blocks, show_plain(cli), cvm_json_str(finding, "reason", ""),
            cvm_json_str(finding, "text", ""));
    free(blocks);
}

static void show_report(const struct cli *cli, const char *file, const json_t *report)
{
    json_t *finding;
    size_t i;
    char *needs = show_cell(json_object_get(report, "needs"));
    fprintf(cli->out, "%s%s %s%s  ", show_bold(cli), cvm_json_str(report, "plugin", ""),
            cvm_json_str(report, "version", ""), show_plain(cli));
    show_text(cli->out, file);
    fprintf(cli->out, ", ABI %s, %lld bytes\n", cvm_json_str(report, "abi", ""),
            (long long)cvm_json_int(report, "bytes", 0));
    static const char *const verdicts[] = {"load", "inline", "unload"};
    for (i = 0; i < sizeof verdicts / sizeof *verdicts; i++) {
        const json_t *verdict = json_object_get(report, verdicts[i]);
        show_verdict(cli, verdicts[i], cvm_json_bool(verdict, "may", false), json_object_get(verdict, "reasons"));
    }
    fprintf(cli->out, "  needs   %s\n  imports %zu names; exports %zu besides cvm_plugin\n", needs ? needs : "",
            json_array_size(json_object_get(report, "imports")), json_array_size(json_object_get(report, "exports")));
    json_array_foreach(json_object_get(report, "findings"), i, finding) show_finding(cli, finding);
    free(needs);
}

static int tell(struct cli *cli, const char *file, const struct vet_report *found, const char *manifest)
{
    json_t *report = vet_report_json(found);
    json_object_set_new(report, "file", json_string(file));
    json_object_set_new(report, "manifest", *manifest ? json_string(manifest) : json_null());
    json_object_set_new(report, "load", json_pack("{s:b, s:[]}", "may", 1, "reasons"));
    if (cli->output == OUTPUT_JSON)
        show_json(cli, report);
    else if (cli->output == OUTPUT_CSV)
        show_rows(cli, json_object_get(report, "findings"), NULL);
    else
        show_report(cli, file, report);
    json_decref(report);
    return vet_may_inline(found) ? CLI_OK : CLI_REFUSED;
}

static int tell_refusal(struct cli *cli, const char *file, const char *error)
{
    if (cli->output != OUTPUT_JSON)
        return cli_fail(CLI_CONFIG, "%s", error);
    json_t *report =
        json_pack("{s:s, s:{s:b, s:[s]}, s:{s:b, s:[]}, s:{s:b, s:[]}, s:[]}", "file", file, "load", "may", 0,
                  "reasons", error, "inline", "may", 0, "reasons", "unload", "may", 0, "reasons", "findings");
    show_json(cli, report);
    json_decref(report);
    return CLI_CONFIG;
}

/* ---- programs ---- */

/* Any file that its manifest calls a program, and any that is no library and begins as a script does. */
static bool is_program(const char *beside, const char *bytes, size_t size)
{
    char error[ERROR_SIZE];
    struct manifest *m = NULL;
    bool program = size > 2 && bytes[0] == '#' && bytes[1] == '!';
    if (*beside && manifest_load(beside, &m, error, sizeof error) == 0)
        program = m->program != NULL;
    manifest_free(m);
    return program;
}

/* What it is besides it says only when it runs: here the file, and its manifest. */
static int vet_a_program(struct cli *cli, const char *file, const char *beside, const char *bytes, size_t size)
{
    struct vet_program found;
    struct manifest *m = NULL;
    char error[ERROR_SIZE];
    int e = vet_program(file, bytes, size, &found, error, sizeof error);
    if (!e && !*beside) {
        e = CVM_ENOENT;
        snprintf(error, sizeof error,
                 "%s: its manifest is neither beside it nor in ../manifests: name it with --manifest FILE", file);
    }
    if (!e)
        e = manifest_load(beside, &m, error, sizeof error);
    if (e)
        return tell_refusal(cli, file, error);
    static const char reason[] = "is a program: always in a process of its own";
    json_t *report = json_pack(
        "{s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:s?, s:{s:b, s:[]}, s:{s:b, s:[s]}, s:{s:b, s:[]}, "
        "s:[]}",
        "plugin", m->name, "version", m->version, "abi", m->abi, "bytes", (json_int_t)size, "file", file, "manifest",
        beside, "kind", "program", "interpreter", *found.interpreter ? found.interpreter : NULL, "load", "may", 1,
        "reasons", "inline", "may", 0, "reasons", reason, "unload", "may", 1, "reasons", "findings");
    if (*found.warning)
        json_array_append_new(json_object_get(report, "findings"),
                              json_pack("{s:s, s:s, s:[], s:s, s:s}", "code", "program", "subject", "", "blocks",
                                        "reason", "", "text", found.warning));
    if (cli->output == OUTPUT_JSON) {
        show_json(cli, report);
    } else if (cli->output == OUTPUT_CSV) {
        show_rows(cli, json_object_get(report, "findings"), NULL);
    } else {
        fprintf(cli->out, "%s%s %s%s  ", show_bold(cli), m->name, m->version, show_plain(cli));
        show_text(cli->out, file);
        fprintf(cli->out, ", a program of %zu bytes\n  load    yes\n  inline  no  %s\n  runs    %s\n", size, reason,
                *found.interpreter ? found.interpreter : "machine code");
        if (*found.warning)
            fprintf(cli->out, "\nwarning\n    %s.\n", found.warning);
    }
    json_decref(report);
    manifest_free(m);
    return CLI_REFUSED;
}

int cli_plugin_vet(struct cli *cli)
{
    const char *file = NULL, *manifest = NULL;
    const struct cli_option options[] = {{"manifest", &manifest}};
    char error[ERROR_SIZE], why[256], *bytes = NULL, beside[PATH_SIZE];
    size_t size = 0;
    struct vet_report *report = NULL;
    int status = cli_arguments(cli, "plugin vet FILE [--manifest FILE]", options, 1, &file, 1, 1);
    if (status != CLI_OK)
        return status;
    int e = file_read(file, ELF_FILE_MAX_BYTES, false, &bytes, &size, error, sizeof error);
    if (e)
        return e == CVM_ENOENT ? cli_fail(CLI_NOT_FOUND, "%s", error) : tell_refusal(cli, file, error);
    if (manifest)
        snprintf(beside, sizeof beside, "%s", manifest);
    else
        find_manifest(file, beside);
    if (is_program(beside, bytes, size)) {
        status = vet_a_program(cli, file, beside, bytes, size);
        free(bytes);
        return status;
    }
    report = malloc(sizeof *report);
    e = report ? vet_library((const uint8_t *)bytes, size, report, why, sizeof why) : CVM_ENOMEM;
    if (e)
        snprintf(error, sizeof error, "%s: %s", file, report ? why : cvm_strerror(e));
    if (!e && *beside)
        e = compare(beside, &report->identity, error);
    status = e ? tell_refusal(cli, file, error) : tell(cli, file, report, beside);
    free(report);
    free(bytes);
    return status;
}
