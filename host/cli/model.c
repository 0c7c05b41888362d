/* `model train`, `model eval`, `model explain`: text models from files of labelled texts. Needs no host for files. */
#include "cli/model.h"

#include "cli/show.h"
#include "core/file.h"
#include "models/evaluate.h"
#include <ctype.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ERROR_SIZE 1024
#define FILES_MAX 16
#define MODEL_MIB 64
#define MODEL_MIB_MAX 1024
#define REASONS 10
#define HEADS_MAX_BYTES 65536

static int model_error(int error, const char *text)
{
    return cli_fail(error == CVM_ENOENT ? CLI_NOT_FOUND : error == CVM_EINVAL ? CLI_USAGE : CLI_FAILED, "%s", text);
}

/* ---- progress: one line on a terminal, over and over ---- */

struct looker {
    bool terminal;
    int shown;
};

static bool progress(void *arg, double done)
{
    struct looker *l = arg;
    int percent = (int)(done * 100);
    if (l->terminal && percent != l->shown) {
        fprintf(stderr, "\rtraining: %d %%\033[K", percent);
        fflush(stderr);
        l->shown = percent;
    }
    return true;
}

static void progress_over(const struct looker *l)
{
    if (l->terminal)
        fputs("\r\033[K", stderr);
}

/* ---- examples ---- */

/* "a,b=x/y" as {"a": ["a"], "b": ["x", "y"]}. Gives a new object; NULL: out of memory. */
static json_t *short_heads(const char *text)
{
    char *copy = strdup(text), *rest = NULL, *inner = NULL;
    json_t *heads = json_object();
    for (char *head = copy ? strtok_r(copy, ",", &rest) : NULL; head; head = strtok_r(NULL, ",", &rest)) {
        char *fields = strchr(head, '=');
        json_t *list = json_array();
        if (fields)
            *fields++ = 0;
        for (char *f = strtok_r(fields ? fields : head, "/", &inner); f; f = strtok_r(NULL, "/", &inner))
            json_array_append_new(list, json_string(f));
        json_object_set_new(heads, head, list);
    }
    free(copy);
    return heads;
}

/* --heads: JSON, @FILE or the short form. */
static int read_heads(const char *text, struct examples *e)
{
    char error[ERROR_SIZE] = "not understood";
    json_t *heads = NULL;
    json_error_t fault;
    if (text[0] == '@')
        (void)file_json(text + 1, HEADS_MAX_BYTES, false, &heads, error, sizeof error);
    else if (text[0] != '{')
        heads = short_heads(text);
    else if (!(heads = json_loads(text, JSON_REJECT_DUPLICATES, &fault)))
        snprintf(error, sizeof error, "%s", fault.text);
    int failed = heads ? examples_heads(e, heads, error, sizeof error) : CVM_EINVAL;
    json_decref(heads);
    return failed ? cli_fail(CLI_USAGE, "--heads: %s", error) : CLI_OK;
}

/* DOMAIN=FILE: where the file's own name begins; the domain goes to ret_domain ("" where there is none). */
static const char *part_name(const char *word, char ret_domain[EXAMPLES_NAME_BYTES])
{
    size_t n = strcspn(word, "=/.");
    *ret_domain = 0;
    if (word[n] != '=' || n == 0 || n >= EXAMPLES_NAME_BYTES || access(word, F_OK) == 0)
        return word;
    memcpy(ret_domain, word, n);
    ret_domain[n] = 0;
    return word + n + 1;
}

int model_read_files(struct examples *e, const char *const *files, size_t n, const char *text, const char *label,
                     const char *heads)
{
    char error[ERROR_SIZE], domain[EXAMPLES_NAME_BYTES];
    if (heads && read_heads(heads, e) != CLI_OK)
        return CLI_USAGE;
    for (size_t i = 0; i < n; i++) {
        const char *path = part_name(files[i], domain);
        size_t len = strlen(path);
        if (!e->n_heads &&
            ((len > 6 && strcmp(path + len - 6, ".jsonl") == 0) || (len > 5 && strcmp(path + len - 5, ".json") == 0)))
            return cli_fail(CLI_USAGE,
                            "%s: JSON lines need --heads, for instance --heads label or "
                            "--heads 'topic,intent=topic/intent'",
                            path);
        int failed = examples_read(e, path, *domain ? domain : NULL, text, label, error, sizeof error);
        if (failed)
            return model_error(failed, error);
    }
    return examples_sort(e) ? cli_fail(CLI_FAILED, "out of memory") : CLI_OK;
}

static bool read_mib(const char *text, size_t *ret_bytes)
{
    int64_t mib = MODEL_MIB;
    if (text && (!cli_read_number(text, &mib) || mib < 1 || mib > MODEL_MIB_MAX))
        return cli_fail(CLI_USAGE, "--max-mib: expected a number from 1 to %d, got \"%s\"", MODEL_MIB_MAX, text), false;
    *ret_bytes = (size_t)mib << 20;
    return true;
}

/* ---- models ---- */

/* The file of a model that the host of this home answers with. Gives a string for free(); NULL after a sentence. */
static char *file_of(struct cli *cli, const char *name, int *ret_status)
{
    json_t *models = NULL, *one;
    size_t i;
    char *file = NULL;
    bool known = false;
    *ret_status = cli_ask(cli, json_pack("{s:s}", "do", "models"), &models);
    if (*ret_status != CLI_OK)
        return NULL;
    json_array_foreach(models, i, one)
    {
        if (strcmp(cvm_json_str(one, "name", ""), name) != 0)
            continue;
        known = true;
        if (json_object_get(one, "file"))
            file = strdup(cvm_json_str(one, "file", ""));
    }
    json_decref(models);
    if (!known)
        *ret_status =
            cli_fail(CLI_NOT_FOUND, "there is no file %s, and no loaded plugin declares a model of that name", name);
    else if (!file)
        *ret_status = cli_fail(CLI_FAILED, "the model %s does not answer yet; `cvmhost model list` says why", name);
    return file;
}

/* MODEL of a command: a file, or the name of one in the host. */
static int open_model(struct cli *cli, const char *word, struct model **ret_model)
{
    char error[ERROR_SIZE], *file = NULL;
    int status = CLI_OK;
    if (access(word, F_OK) < 0 && !strpbrk(word, "./") && !(file = file_of(cli, word, &status)))
        return status;
    int failed = model_open(file ? file : word, SIZE_MAX, ret_model, error, sizeof error);
    free(file);
    return failed ? model_error(failed, error) : CLI_OK;
}

int cli_model_list(struct cli *cli)
{
    json_t *models = NULL;
    int status = cli_arguments(cli, "model list", NULL, 0, NULL, 0, 0);
    if (status == CLI_OK)
        status = cli_ask(cli, json_pack("{s:s}", "do", "models"), &models);
    if (status != CLI_OK)
        return status;
    json_t *columns = show_names("name plugin ready training examples bytes training_seconds hash note");
    show_rows(cli, models, cli->output == OUTPUT_JSON ? NULL : columns);
    json_decref(columns);
    json_decref(models);
    return CLI_OK;
}

/* ---- train ---- */

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static json_t *describe(const struct model *m)
{
    json_t *heads = json_array();
    for (size_t h = 0; h < model_heads(m); h++)
        json_array_append_new(heads, json_pack("{s:s, s:I, s:f}", "head", model_head(m, h), "labels",
                                               (json_int_t)model_labels(m, h), "temperature", model_temperature(m, h)));
    return json_pack("{s:s, s:I, s:I, s:I, s:o}", "id", model_id(m), "examples", (json_int_t)model_examples(m),
                     "features", (json_int_t)model_features(m), "bytes", (json_int_t)model_bytes(m), "heads", heads);
}

static int train_to(struct cli *cli, const struct examples *e, const char *out, size_t max_bytes)
{
    char error[ERROR_SIZE];
    struct looker looker = {isatty(STDERR_FILENO), -1};
    struct model_training how = {max_bytes, progress, &looker};
    struct model *m = NULL;
    double begun = seconds(CLOCK_MONOTONIC), worked = seconds(CLOCK_PROCESS_CPUTIME_ID);
    int failed = model_train(e, &how, out, error, sizeof error);
    progress_over(&looker);
    if (!failed)
        failed = model_open(out, SIZE_MAX, &m, error, sizeof error);
    if (failed)
        return model_error(failed, error);
    json_t *data = describe(m);
    json_object_set_new(data, "file", json_string(out));
    json_object_set_new(data, "seconds", json_real(seconds(CLOCK_MONOTONIC) - begun));
    json_object_set_new(data, "cpu_seconds", json_real(seconds(CLOCK_PROCESS_CPUTIME_ID) - worked));
    show_result(cli, data, NULL, NULL);
    json_decref(data);
    model_unref(m);
    return CLI_OK;
}

int cli_model_train(struct cli *cli)
{
    const char *usage =
        "model train FILE... --out MODEL [--text COLUMN] [--label COLUMN] [--heads HEADS] [--max-mib N]";
    const char *files[FILES_MAX] = {0}, *out = NULL, *text = NULL, *label = NULL, *heads = NULL, *mib = NULL;
    const struct cli_option options[] = {
        {"out", &out}, {"text", &text}, {"label", &label}, {"heads", &heads}, {"max-mib", &mib}};
    struct examples e;
    size_t n = 0, max_bytes;
    int status = cli_arguments(cli, usage, options, sizeof options / sizeof *options, files, 1, FILES_MAX);
    if (status != CLI_OK)
        return status;
    if (!out)
        return cli_fail(CLI_USAGE, "--out MODEL is missing: the file to write\nusage: cvmhost %s", usage);
    if (!read_mib(mib, &max_bytes))
        return CLI_USAGE;
    while (n < FILES_MAX && files[n])
        n++;
    examples_init(&e);
    status = model_read_files(&e, files, n, text, label, heads);
    if (status == CLI_OK)
        status = train_to(cli, &e, out, max_bytes);
    examples_fini(&e);
    return status;
}

/* ---- eval ---- */

static void show_head(struct cli *cli, const json_t *head, bool alone)
{
    static const char *const figures[] = {"examples", "accuracy", "macro_f1", "weighted_f1", "calibration_error"};
    static const struct {
        const char *member, *title;
    } tables[] = {
        {"labels", "By label"}, {"confused", "Most often taken for another"}, {"calibration", "Said and right"}};
    fprintf(cli->out, "%s%s%s%s", alone ? "" : "\n", show_bold(cli), cvm_json_str(head, "head", ""), show_plain(cli));
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        char *cell = show_cell(json_object_get(head, figures[i]));
        fprintf(cli->out, "%s %s %s", i ? "," : ":", figures[i], cell ? cell : "");
        free(cell);
    }
    fputc('\n', cli->out);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        const json_t *rows = json_object_get(head, tables[i].member);
        if (!json_array_size(rows))
            continue;
        fprintf(cli->out, "\n%s\n", tables[i].title);
        show_table(cli, rows, NULL);
    }
}

/* One table for programs that read rows: every label of every head. */
static void show_label_rows(struct cli *cli, const json_t *heads)
{
    json_t *rows = json_array(), *head, *row;
    size_t i, k;
    json_array_foreach((json_t *)(uintptr_t)heads, i, head)
    {
        json_array_foreach(json_object_get(head, "labels"), k, row)
        {
            json_t *copy = json_pack("{s:O}", "head", json_object_get(head, "head"));
            json_object_update(copy, row);
            json_array_append_new(rows, copy);
        }
    }
    show_rows(cli, rows, NULL);
    json_decref(rows);
}

static int show_evaluation(struct cli *cli, const struct evaluation *v)
{
    json_t *data = evaluation_json(v), *head;
    size_t i;
    const json_t *heads = json_object_get(data, "heads");
    if (!data)
        return cli_fail(CLI_FAILED, "out of memory");
    if (cli->output == OUTPUT_JSON)
        show_json(cli, data);
    else if (cli->output == OUTPUT_CSV)
        show_label_rows(cli, heads);
    else
        json_array_foreach((json_t *)(uintptr_t)heads, i, head) show_head(cli, head, i == 0);
    json_decref(data);
    return CLI_OK;
}

static int eval_folds(struct cli *cli, const struct examples *e, int64_t folds, size_t max_bytes)
{
    char error[ERROR_SIZE], folder[] = "/tmp/cvmhost-model-XXXXXX";
    struct looker looker = {isatty(STDERR_FILENO), -1};
    struct model_training how = {max_bytes, progress, &looker};
    if (!mkdtemp(folder))
        return cli_fail(CLI_FAILED, "%s: no folder for models can be made there", folder);
    struct evaluation *v = evaluation_new(e);
    int failed = v ? evaluation_cross(v, e, (unsigned)folds, &how, folder, error, sizeof error)
                   : (snprintf(error, sizeof error, "out of memory"), CVM_ENOMEM);
    progress_over(&looker);
    rmdir(folder);
    int status = failed ? model_error(failed, error) : show_evaluation(cli, v);
    evaluation_free(v);
    return status;
}

/* With the heads of the model, where the examples have them as fields of their own name. */
static int eval_model(struct cli *cli, const struct model *m, const struct examples *e)
{
    char error[ERROR_SIZE];
    struct evaluation *v = evaluation_new(e);
    int failed = v ? evaluation_add(v, m, e, error, sizeof error) : CVM_ENOMEM;
    int status = failed == CVM_ENOMEM ? cli_fail(CLI_FAILED, "out of memory")
                 : failed             ? model_error(failed, error)
                                      : show_evaluation(cli, v);
    evaluation_free(v);
    return status;
}

int cli_model_eval(struct cli *cli)
{
    const char *usage =
        "model eval MODEL FILE... | FILE... --folds N [--text COLUMN] [--label COLUMN] [--heads HEADS] [--max-mib N]";
    const char *words[FILES_MAX + 1] = {0}, *folds = NULL, *text = NULL, *label = NULL, *heads = NULL, *mib = NULL;
    const struct cli_option options[] = {
        {"folds", &folds}, {"text", &text}, {"label", &label}, {"heads", &heads}, {"max-mib", &mib}};
    struct examples e;
    struct model *m = NULL;
    size_t n = 0, max_bytes;
    int64_t n_folds = 0;
    int status = cli_arguments(cli, usage, options, sizeof options / sizeof *options, words, 1, FILES_MAX);
    if (status != CLI_OK)
        return status;
    if (folds && (!cli_read_number(folds, &n_folds) || n_folds < 2 || n_folds > EVALUATION_FOLDS_MAX))
        return cli_fail(CLI_USAGE, "--folds: expected a number from 2 to %d, got \"%s\"", EVALUATION_FOLDS_MAX, folds);
    if (!read_mib(mib, &max_bytes))
        return CLI_USAGE;
    while (words[n])
        n++;
    if (!folds && n < 2)
        return cli_missing(usage, 1);
    if (!folds && (status = open_model(cli, words[0], &m)) != CLI_OK)
        return status;
    examples_init(&e);
    status = model_read_files(&e, words + !folds, n - !folds, text, label, heads);
    if (status == CLI_OK)
        status = folds ? eval_folds(cli, &e, n_folds, max_bytes) : eval_model(cli, m, &e);
    model_unref(m);
    examples_fini(&e);
    return status;
}

/* ---- explain ---- */

static json_t *explain_head(const struct model *m, size_t head, const char *text, const float *scores, double *room)
{
    struct model_explanation x;
    size_t best = 0, first = model_first(m, head);
    for (size_t i = 1; i < model_labels(m, head); i++)
        best = scores[first + i] > scores[first + best] ? i : best;
    model_probabilities(m, head, scores, room);
    if (model_explain(m, text, first + best, REASONS, &x) < 0)
        return NULL;
    json_t *because = json_array();
    for (size_t i = 0; i < x.n; i++)
        json_array_append_new(because, json_pack("{s:s, s:i, s:f}", "feature", x.reasons[i].feature, "times",
                                                 (int)x.reasons[i].times, "weight", x.reasons[i].weight));
    return json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:o}", "head", model_head(m, head), "label",
                     model_label(m, head, best), "probability", room[best], "score", x.score, "bias", x.bias, "rest",
                     x.rest, "unseen", x.unseen, "because", because);
}

json_t *model_explain_json(const struct model *m, const char *text)
{
    float *scores = calloc(MODEL_OUTPUTS, sizeof *scores);
    double *room = calloc(MODEL_OUTPUTS, sizeof *room);
    json_t *heads = json_array();
    bool whole = scores && room && model_scores(m, text, scores) == 0;
    for (size_t h = 0; h < model_heads(m) && whole; h++)
        whole = json_array_append_new(heads, explain_head(m, h, text, scores, room)) == 0;
    free(scores);
    free(room);
    if (whole)
        return json_pack("{s:s, s:o}", "model", model_id(m), "heads", heads);
    json_decref(heads);
    return NULL;
}

void model_show_explanation(struct cli *cli, const json_t *data)
{
    json_t *head;
    size_t i;
    json_array_foreach(json_object_get(data, "heads"), i, head)
    {
        fprintf(cli->out, "%s%s%s: ", i ? "\n" : "", show_bold(cli), cvm_json_str(head, "head", ""));
        show_text(cli->out, cvm_json_str(head, "label", ""));
        fprintf(cli->out, "%s %.2f  (score %.3f: bias %.3f, the features below, others %.3f)\n", show_plain(cli),
                json_number_value(json_object_get(head, "probability")),
                json_number_value(json_object_get(head, "score")), json_number_value(json_object_get(head, "bias")),
                json_number_value(json_object_get(head, "rest")));
        show_table(cli, json_object_get(head, "because"), NULL);
    }
}

int cli_model_explain(struct cli *cli)
{
    const char *words[2];
    struct model *m = NULL;
    int status = cli_arguments(cli, "model explain MODEL TEXT", NULL, 0, words, 2, 2);
    if (status == CLI_OK)
        status = open_model(cli, words[0], &m);
    if (status != CLI_OK)
        return status;
    json_t *data = model_explain_json(m, words[1]);
    model_unref(m);
    if (!data)
        return cli_fail(CLI_FAILED, "out of memory");
    if (cli->output == OUTPUT_JSON)
        show_json(cli, data);
    else
        model_show_explanation(cli, data);
    json_decref(data);
    return CLI_OK;
}
