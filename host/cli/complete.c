/* `complete`: what could stand next on a command line, for the shells' completion, one candidate a line with a tab and
 * a few words on it; ":files" and ":dirs" stand for names the shell knows itself. Knows the commands by their usage
 * lines, operations by their schemas. Says nothing of what goes wrong. */
#include "cli/client.h"
#include "cli/show.h"
#include "cli/spec.h"

#include <ctype.h>
#include <stdlib.h>

#define WORDS_MAX 64
#define PLACE_MAX_BYTES 80
#define HOST_WAIT_MS 300 /* whoever types does not wait longer */
#define DEAD_LETTERS_MAX 50
#define ABOUT_MAX_BYTES 120

struct line {
    struct cli *cli;
    json_t *catalogue;
    const char *words[WORDS_MAX]; /* positional ones, before the current */
    size_t n;
    const struct cli_command *command; /* the longest that the words begin with; or */
    const json_t *entry;               /* an operation's */
    size_t n_command;                  /* words of its name */
    char option[PLACE_MAX_BYTES];      /* whose value the current word is; "": none */
    char prefix[PLACE_MAX_BYTES + 4];  /* "--option=" where it stands in the same word */
    const char *current;
    json_t *seen; /* what was offered */
};

static const struct common {
    const char *name, *value, *help; /* value NULL: a flag */
    bool call;                       /* of operations only */
} commons[] = {
    {"home", "DIR", "the home", false},
    {"config", "FILE", "instead of the home's config/cvmhost.json", false},
    {"output", "table|json|csv", "how results look", false},
    {"output-file", "FILE", "where results go", false},
    {"log-level", "LEVEL", "what is logged", false},
    {"timeout", "S", "seconds to wait", false},
    {"no-start", NULL, "fail where no host runs", false},
    {"help", NULL, "explain the command", false},
    {"key", "K", "the same key is done once", true},
    {"file", "FILE", "JSON lines, one request each", true},
    {"parallel", "N", "how many of them at a time", true},
    {"trace", NULL, "show every envelope it causes", true},
};

/* ---- offering ---- */

static void offer(struct line *line, const char *text, const char *about)
{
    if (strncmp(text, line->current, strlen(line->current)) != 0 || json_object_get(line->seen, text) ||
        strpbrk(text, "\t\n"))
        return;
    json_object_set_new(line->seen, text, json_true());
    fprintf(line->cli->out, "%s%s\t%.*s\n", line->prefix, text, (int)strcspn(about, "\t\r\n"), about);
}

static void offer_option(struct line *line, const char *name, const char *about)
{
    char text[SPEC_NAME_MAX + 4];
    snprintf(text, sizeof text, "--%s", name);
    offer(line, text, about);
}

/* "a|b|c", as usage lines and schemas list words. */
static void offer_words(struct line *line, const char *words)
{
    char word[PLACE_MAX_BYTES];
    for (size_t len; *words; words += len + (words[len] == '|')) {
        len = strcspn(words, "|");
        snprintf(word, sizeof word, "%.*s", (int)len, words);
        offer(line, word, "");
    }
}

static const char *help_of(const json_t *entry)
{
    return cvm_json_str(json_object_get(entry, "expose"), "help", cvm_json_str(entry, "description", ""));
}

/* ---- what usage lines name ---- */

static void components(struct line *line)
{
    const json_t *entry;
    char about[ABOUT_MAX_BYTES];
    size_t i;
    json_array_foreach(json_object_get(line->catalogue, "operations"), i, entry)
    {
        snprintf(about, sizeof about, "%s, %s", cvm_json_str(entry, "alias", ""), cvm_json_str(entry, "kind", ""));
        offer(line, cvm_json_str(entry, "component", ""), about);
    }
}

static void plugins(struct line *line)
{
    const char *name;
    json_t *plugin, *known = cli_try(line->cli, json_pack("{s:s}", "do", "plugins"), HOST_WAIT_MS);
    size_t i;
    json_array_foreach(known, i, plugin)
        offer(line, cvm_json_str(plugin, "name", ""), cvm_json_str(plugin, "description", ""));
    json_decref(known);
    json_object_foreach(json_object_get(line->catalogue, "documents"), name, plugin)
        offer(line, name, cvm_json_str(plugin, "description", ""));
    if (line->command && strcmp(line->command->words, "plugin info") == 0)
        components(line);
}

/* Of the component that stands before it; of all where none does. */
static void types(struct line *line)
{
    const char *of = line->n > line->n_command ? line->words[line->n_command] : NULL;
    const json_t *entry;
    size_t i;
    json_array_foreach(json_object_get(line->catalogue, "operations"), i, entry)
    {
        if (!of || strcmp(of, cvm_json_str(entry, "component", "")) == 0 ||
            strcmp(of, cvm_json_str(entry, "alias", "")) == 0)
            offer(line, cvm_json_str(entry, "type", ""), cvm_json_str(entry, "description", ""));
    }
}

static void dead_letters(struct line *line)
{
    json_t *request = json_pack("{s:s, s:i}", "do", "dlq.list", "limit", DEAD_LETTERS_MAX);
    json_t *list = cli_try(line->cli, request, HOST_WAIT_MS), *letter;
    char number[32], about[ABOUT_MAX_BYTES];
    size_t i;
    json_array_foreach(json_object_get(list, "rows"), i, letter)
    {
        snprintf(number, sizeof number, "%lld", (long long)cvm_json_int(letter, "id", 0));
        snprintf(about, sizeof about, "%s %s: %s", cvm_json_str(letter, "component", ""),
                 cvm_json_str(letter, "type", ""), cvm_json_str(letter, "reason", ""));
        offer(line, number, about);
    }
    json_decref(list);
}

/* The word of a command that follows those from `from` on. */
static void offer_next(struct line *line, const char *words, size_t from, const char *about)
{
    char word[PLACE_MAX_BYTES];
    for (size_t i = from; i < line->n; i++) {
        size_t len = strlen(line->words[i]);
        if (strncmp(words, line->words[i], len) != 0 || words[len] != ' ')
            return;
        words += len + 1;
    }
    size_t len = strcspn(words, " ");
    snprintf(word, sizeof word, "%.*s", (int)len, words);
    offer(line, word, words[len] ? "" : about);
}

static void commands(struct line *line, size_t from)
{
    const json_t *entry;
    size_t i;
    for (const struct cli_command *c = cli_commands; c->words; c++)
        offer_next(line, c->words, from, c->help);
    json_array_foreach(json_object_get(line->catalogue, "operations"), i, entry)
    {
        const char *words = cvm_json_str(json_object_get(entry, "expose"), "cli", NULL);
        if (words)
            offer_next(line, words, from, help_of(entry));
    }
}

static void kinds(struct line *line)
{
    offer_words(line, "agent|trigger|treatment|channel|provider");
    if (line->command && strcmp(line->command->words, "plugin new") == 0)
        offer_words(line, "domain");
}

static void levels(struct line *line)
{
    offer_words(line, "DEBUG|INFO|WARNING|ERROR");
}

static void help_commands(struct line *line)
{
    commands(line, line->n_command);
}

static void files(struct line *line)
{
    fputs(":files\n", line->cli->out);
}

static void dirs(struct line *line)
{
    fputs(":dirs\n", line->cli->out);
}

/* What a usage line's "NAME" stands for. */
static void offer_place(struct line *line, const char *place)
{
    static const struct {
        const char *place;
        void (*offer)(struct line *line);
    } places[] = {
        {"COMPONENT", components}, {"STORE", components}, {"C", components},        {"NAME", plugins},
        {"PLUGIN", plugins},       {"TYPE", types},       {"NUMBER", dead_letters}, {"KIND", kinds},
        {"FILE", files},           {"DIR", dirs},         {"LEVEL", levels},        {"COMMAND", help_commands}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (strcmp(place, places[i].place) == 0) {
            places[i].offer(line);
            return;
        }
    if (strstr(place, "FILE"))
        files(line);
    else if (islower((unsigned char)place[0]) && strchr(place, '|'))
        offer_words(line, place);
}

/* ---- usage lines ---- */

struct usage {
    const char *at;
    char option[PLACE_MAX_BYTES]; /* "": a positional word */
    char place[PLACE_MAX_BYTES];  /* "": a flag */
};

/* One element after the other of "NAME [--kind KIND] [--now]". */
static bool usage_next(struct usage *usage)
{
    usage->option[0] = usage->place[0] = 0;
    usage->at += strspn(usage->at, " []");
    if (!*usage->at)
        return false;
    size_t len = strcspn(usage->at, " ]");
    const char *word = usage->at;
    usage->at += len;
    if (*word != '-') {
        snprintf(usage->place, sizeof usage->place, "%.*s", (int)len, word);
        return true;
    }
    size_t dashes = strspn(word, "-");
    snprintf(usage->option, sizeof usage->option, "%.*s", (int)(len - dashes), word + dashes);
    if (usage->at[0] != ' ' || strchr("[-", usage->at[1]))
        return true;
    word = ++usage->at;
    len = strcspn(word, " ]");
    snprintf(usage->place, sizeof usage->place, "%.*s", (int)len, word);
    usage->at += len;
    return true;
}

/* What the value of a command's option is called; "" for a flag, NULL where there is no such option. Borrowed until
 * the next call. */
static const char *option_place(const struct line *line, const char *name)
{
    static struct usage usage;
    usage.at = line->command ? line->command->usage : "";
    while (usage_next(&usage))
        if (usage.option[0] && strcmp(usage.option, name) == 0)
            return usage.place;
    for (size_t i = 0; i < sizeof commons / sizeof *commons; i++)
        if (strcmp(commons[i].name, name) == 0)
            return commons[i].value ? commons[i].value : "";
    return NULL;
}

static bool takes_value(const struct line *line, const char *name)
{
    const char *property = line->entry ? spec_find(line->catalogue, line->entry, name) : NULL;
    if (property)
        return !spec_is_flag(spec_property(line->catalogue, line->entry, property));
    const char *place = option_place(line, name);
    return place && place[0];
}

/* ---- operations ---- */

static void offer_values(struct line *line, const char *property)
{
    const json_t *schema = spec_property(line->catalogue, line->entry, property), *one;
    const json_t *items = spec_resolve(line->catalogue, line->entry, json_object_get(schema, "items"));
    size_t i;
    if (!json_object_get(schema, "enum") && items)
        schema = items;
    json_array_foreach(json_object_get(schema, "enum"), i, one)
    {
        char *text = show_cell(one);
        if (text)
            offer(line, text, "");
        free(text);
    }
    if (spec_is_flag(schema))
        offer_words(line, "true|false");
}

static void offer_argument(struct line *line)
{
    const json_t *args = json_object_get(json_object_get(line->entry, "expose"), "args");
    size_t n = json_array_size(args), at = line->n - line->n_command;
    if (n == 0)
        return;
    const char *property = json_string_value(json_array_get(args, at < n ? at : n - 1));
    if (property && (at < n || spec_is_array(spec_property(line->catalogue, line->entry, property))))
        offer_values(line, property);
}

static bool is_argument(const json_t *entry, const char *property)
{
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(json_object_get(entry, "expose"), "args"), i,
                       one) if (json_is_string(one) && strcmp(json_string_value(one), property) == 0) return true;
    return false;
}

static void offer_options(struct line *line)
{
    struct usage usage = {.at = line->command ? line->command->usage : ""};
    const char *property;
    json_t *schema;
    char name[SPEC_NAME_MAX];
    if (line->entry)
        json_object_foreach((json_t *)(uintptr_t)spec_properties(line->catalogue, line->entry), property, schema)
        {
            if (is_argument(line->entry, property))
                continue;
            spec_name(line->entry, property, '-', name);
            offer_option(line, name,
                         cvm_json_str(spec_property(line->catalogue, line->entry, property), "description", ""));
        }
    while (usage_next(&usage))
        if (usage.option[0] && usage.option[1])
            offer_option(line, usage.option, "");
    for (size_t i = 0; i < sizeof commons / sizeof *commons; i++)
        if (!commons[i].call || line->entry)
            offer_option(line, commons[i].name, commons[i].help);
}

static void offer_option_value(struct line *line)
{
    const char *property = line->entry ? spec_find(line->catalogue, line->entry, line->option) : NULL;
    const char *place = property ? NULL : option_place(line, line->option);
    if (property)
        offer_values(line, property);
    else if (place)
        offer_place(line, place);
}

/* ---- the line ---- */

static size_t match_words(const struct line *line, const char *words)
{
    size_t n = 0;
    for (size_t len; *words; words += len + (words[len] == ' '), n++) {
        len = strcspn(words, " ");
        if (n >= line->n || strlen(line->words[n]) != len || strncmp(line->words[n], words, len) != 0)
            return 0;
    }
    return n;
}

static void find_command(struct line *line)
{
    const json_t *entry;
    size_t i;
    for (const struct cli_command *c = cli_commands; c->words; c++) {
        size_t n = match_words(line, c->words);
        if (n > line->n_command) {
            line->n_command = n;
            line->command = c;
        }
    }
    json_array_foreach(json_object_get(line->catalogue, "operations"), i, entry)
    {
        const char *words = cvm_json_str(json_object_get(entry, "expose"), "cli", NULL);
        size_t n = words ? match_words(line, words) : 0;
        if (n > line->n_command) {
            line->n_command = n;
            line->command = NULL;
            line->entry = entry;
        }
    }
}

/* Shells split "--option=value" in their own ways; a lone "=" belongs to the option before it. */
static void read_words(struct line *line, int argc, char **argv)
{
    struct args args = {.argc = argc};
    char **words = args.argv = calloc((size_t)argc + 1, sizeof *words);
    args.argc = 0;
    for (int i = 0; words && i + 1 < argc; i++)
        if (strcmp(argv[i], "=") != 0)
            words[args.argc++] = argv[i];
    for (enum arg_kind kind; words && !line->option[0] && (kind = args_next(&args)) != ARG_END;) {
        if (kind == ARG_WORD && line->n < WORDS_MAX) {
            line->words[line->n++] = args.text;
            find_command(line);
        }
        if (kind != ARG_OPTION || args.inlined || !takes_value(line, args.name))
            continue;
        if (args.at == args.argc)
            snprintf(line->option, sizeof line->option, "%s", args.name);
        else
            args.at++;
    }
    free(words); /* what `words` point to is the command line's */
    line->current = argc > 0 && strcmp(argv[argc - 1], "=") != 0 ? argv[argc - 1] : "";
    const char *sign = strncmp(line->current, "--", 2) == 0 ? strchr(line->current, '=') : NULL;
    if (!sign || line->option[0] || sign - line->current >= PLACE_MAX_BYTES)
        return;
    snprintf(line->option, sizeof line->option, "%.*s", (int)(sign - line->current - 2), line->current + 2);
    snprintf(line->prefix, sizeof line->prefix, "--%s=", line->option);
    line->current = sign + 1;
}

/* The home decides which host is asked, so it is looked for before anything else. */
static void read_home(struct cli *cli)
{
    for (int i = 0; i + 1 < cli->argc; i++) {
        int at = i + 1 < cli->argc && strcmp(cli->argv[i + 1], "=") == 0 ? i + 2 : i + 1;
        if (strncmp(cli->argv[i], "--home=", 7) == 0)
            cli->home = cli->argv[i] + 7;
        else if (strcmp(cli->argv[i], "--home") == 0 && at + 1 < cli->argc)
            cli->home = cli->argv[at];
    }
}

/* A word of a command's name, or an argument of the command that is there. */
static void offer_words_next(struct line *line)
{
    struct usage usage = {.at = line->command ? line->command->usage : ""};
    size_t before = line->n - line->n_command;
    commands(line, 0);
    if (line->entry)
        offer_argument(line);
    while (usage_next(&usage)) {
        if (usage.option[0] || (before-- > 0 && strcmp(usage.place, "COMMAND") != 0))
            continue;
        offer_place(line, usage.place);
        return;
    }
}

int cli_complete(struct cli *cli)
{
    struct line line = {.cli = cli, .seen = json_object()};
    if (cli->argc > 0 && strcmp(cli->argv[0], "--") == 0) {
        cli->argc--;
        cli->argv++;
    }
    cli->timeout_ms = HOST_WAIT_MS;
    read_home(cli);
    line.catalogue = cli_catalogue(cli, NULL);
    read_words(&line, cli->argc, cli->argv);
    if (line.option[0]) {
        offer_option_value(&line);
    } else if (line.current[0] == '-') {
        offer_options(&line);
    } else {
        offer_words_next(&line);
    }
    json_decref(line.catalogue);
    json_decref(line.seen);
    return CLI_OK;
}

/* ---- scripts ---- */

/* The files of host/cli/completion, in the binary. */
extern const char completion_bash[], completion_zsh[], completion_fish[];

int cli_completion(struct cli *cli)
{
    const char *shell = NULL;
    int status = cli_arguments(cli, "completion bash|zsh|fish", NULL, 0, &shell, 0, 1);
    if (status != CLI_OK)
        return status;
    const char *text = !shell                       ? NULL
                       : strcmp(shell, "bash") == 0 ? completion_bash
                       : strcmp(shell, "zsh") == 0  ? completion_zsh
                       : strcmp(shell, "fish") == 0 ? completion_fish
                                                    : NULL;
    if (!text)
        return cli_fail(CLI_USAGE, "%s%.40s%s: expected bash, zsh or fish\nusage: cvmhost completion bash|zsh|fish",
                        shell ? "\"" : "the shell", shell ? shell : "", shell ? "\"" : " is missing");
    fputs(text, cli->out);
    return CLI_OK;
}
