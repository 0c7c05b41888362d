/* The story of an id, for people: what each turn received, considered, chose, asked for, called and wrote. */
#include "cli/call.h"

#include "cli/show.h"
#include <stdlib.h>

#define NOTE_DEPTH_MAX 4

static const char *clock_of(const json_t *turn)
{
    const char *at = cvm_json_str(turn, "at", "");
    return strlen(at) > 11 ? at + 11 : at;
}

static void label(const struct cli *cli, int indent, const char *name)
{
    fprintf(cli->out, "%*s%s%s%s ", indent, "", show_dim(cli), name, show_plain(cli));
}

static void cell(const struct cli *cli, const json_t *value)
{
    char *text = show_cell(value);
    fputs(text ? text : "", cli->out);
    free(text);
}

static bool is_simple(const json_t *value)
{
    if (json_is_object(value))
        return false;
    for (size_t i = 0; i < json_array_size(value); i++)
        if (json_is_object(json_array_get(value, i)) || json_is_array(json_array_get(value, i)))
            return false;
    return true;
}

/* Members of one object in one line, empty ones left out: "label A, score 0.93". */
static void inline_members(const struct cli *cli, const json_t *object)
{
    const char *name;
    json_t *value;
    bool first = true;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        char *text = show_cell(value);
        if (text && *text) {
            fprintf(cli->out, "%s%s %s", first ? "" : ", ", name, text);
            first = false;
        }
        free(text);
    }
}

/* What a handler wrote down: simple members in lines of their own, what was considered as a list. */
static void show_note(const struct cli *cli, const json_t *data, int indent, int depth)
{
    const char *name;
    json_t *value, *item;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)data, name, value)
    {
        if (is_simple(value) || depth >= NOTE_DEPTH_MAX) {
            label(cli, indent, name);
            cell(cli, value);
            fputc('\n', cli->out);
            continue;
        }
        fprintf(cli->out, "%*s%s%s%s\n", indent, "", show_dim(cli), name, show_plain(cli));
        if (json_is_object(value)) {
            show_note(cli, value, indent + 2, depth + 1);
        } else {
            json_array_foreach(value, i, item)
            {
                fprintf(cli->out, "%*s- ", indent + 2, "");
                if (json_is_object(item))
                    inline_members(cli, item);
                else
                    cell(cli, item);
                fputc('\n', cli->out);
            }
        }
    }
    if (!json_is_object(data)) {
        fprintf(cli->out, "%*s", indent, "");
        cell(cli, data);
        fputc('\n', cli->out);
    }
}

static void show_sent(const struct cli *cli, const json_t *out)
{
    const char *type = cvm_json_str(out, "type", "?"), *to = cvm_json_str(out, "recipient", "?");
    const char *kind = cvm_json_str(out, "message_type", ""), *outcome = cvm_json_str(out, "outcome", NULL);
    if (strcmp(kind, "response") == 0) {
        label(cli, 6, "answered");
        fprintf(cli->out, "%s, %s %s", to, type, outcome ? outcome : "");
    } else if (strcmp(to, "BROADCAST") == 0 || strncmp(cvm_json_str(out, "conversation", ""), "topic:", 6) == 0) {
        label(cli, 6, "published");
        fprintf(cli->out, "%s, to %s", type, to);
    } else {
        label(cli, 6,
              strcmp(kind, "request") == 0      ? "asked"
              : strcmp(kind, "escalation") == 0 ? "escalated to"
                                                : "told");
        fprintf(cli->out, "%s, %s", to, type);
    }
    fputc('\n', cli->out);
}

static void show_pairs(const struct cli *cli, const json_t *record, const char *member, const char *word)
{
    const json_t *pairs = json_object_get(record, member);
    if (json_array_size(pairs) == 0)
        return;
    label(cli, 6, word);
    for (size_t i = 0; i < json_array_size(pairs); i++) {
        const json_t *pair = json_array_get(pairs, i);
        const char *a = json_string_value(json_array_get(pair, 0)), *b = json_string_value(json_array_get(pair, 1));
        bool row = strcmp(member, "rows") == 0;
        fprintf(cli->out, "%s%s%s%s", i ? ", " : "", a ? a : "?", row && b ? " " : "", row && b ? b : "");
    }
    fputc('\n', cli->out);
}

static void show_record(const struct cli *cli, const json_t *record)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(record, "notes"), i, item)
    {
        const char *what = json_string_value(json_array_get(item, 0));
        fprintf(cli->out, "      %s%s%s\n", show_bold(cli), what ? what : "note", show_plain(cli));
        show_note(cli, json_array_get(item, 1), 8, 0);
    }
    json_array_foreach(json_object_get(record, "calls"), i, item)
    {
        label(cli, 6, "called");
        fprintf(cli->out, "%s %s", cvm_json_str(item, "name", "?"), cvm_json_str(item, "url", ""));
        const char *key = cvm_json_str(item, "key", "");
        fprintf(cli->out, "%s%s\n", key[0] ? ", key " : "", key);
    }
    json_array_foreach(json_object_get(record, "jobs"), i, item)
    {
        label(cli, 6, "started job");
        fprintf(cli->out, "%s ", cvm_json_str(item, "name", "?"));
        char *input = json_dumps(json_object_get(item, "input"), JSON_COMPACT);
        fprintf(cli->out, "%.200s\n", input ? input : "");
        free(input);
    }
    json_array_foreach(json_object_get(record, "timers"), i, item)
    {
        label(cli, 6, "set timer");
        fprintf(cli->out, "%s\n", cvm_json_str(item, "type", "?"));
    }
    json_array_foreach(json_object_get(record, "out"), i, item) show_sent(cli, item);
    json_array_foreach(json_object_get(record, "answers"), i, item)
    {
        const char *outcome = json_string_value(json_array_get(item, 1));
        label(cli, 6, "answered outside");
        fprintf(cli->out, "%s  ", outcome ? outcome : "");
        inline_members(cli, json_array_get(item, 2));
        fputc('\n', cli->out);
    }
    show_pairs(cli, record, "rows", "wrote");
    show_pairs(cli, record, "state", "kept");
    const json_t *error = json_object_get(record, "error");
    if (error) {
        label(cli, 6, "because");
        fprintf(cli->out, "%s (%s)\n", cvm_json_str(error, "message", ""), cvm_json_str(error, "code", ""));
    }
}

/* The envelope of a message by its id, among what the turns sent; NULL: not there. */
static const json_t *sent_message(const json_t *story, const char *id)
{
    size_t i, k;
    json_t *turn, *out;
    json_array_foreach(json_object_get(story, "turns"), i, turn)
        json_array_foreach(json_object_get(json_object_get(turn, "record"), "out"), k,
                           out) if (strcmp(cvm_json_str(out, "message_id", ""), id) == 0) return out;
    return NULL;
}

/* By what code, in which configuration, and what it found in its state, as that was then. */
static void show_facts(const struct cli *cli, const json_t *turn)
{
    const char *version = cvm_json_str(turn, "version", ""), *build = cvm_json_str(turn, "build", "");
    const json_t *configuration = json_object_get(turn, "configuration");
    size_t i;
    json_t *fact;
    if (*build) {
        label(cli, 6, "by");
        fprintf(cli->out, "%s%sbuild %s", version, *version ? ", " : "", build);
        if (configuration)
            fprintf(cli->out, ", configuration %lld (%.12s)", (long long)cvm_json_int(configuration, "id", 0),
                    cvm_json_str(configuration, "hash", ""));
        fputc('\n', cli->out);
    }
    json_array_foreach(json_object_get(turn, "facts"), i, fact)
    {
        char *value = show_cell(json_object_get(fact, "value"));
        label(cli, 6, "knew");
        show_text(cli->out, cvm_json_str(fact, "key", ""));
        fputs(cvm_json_bool(fact, "known", false) ? value && *value ? " = " : ": nothing" : ": not stored any more",
              cli->out);
        show_text(cli->out, value ? value : "");
        fputc('\n', cli->out);
        free(value);
    }
}

static void show_turn(const struct cli *cli, const json_t *story, const json_t *turn, const char *asked)
{
    const json_t *record = json_object_get(turn, "record"), *in = json_object_get(record, "in");
    const char *sender = cvm_json_str(turn, "sender", ""), *outcome = cvm_json_str(turn, "outcome", "?");
    bool good = strcmp(outcome, "OK") == 0 || strcmp(outcome, "PENDING") == 0;
    double ms = (double)cvm_json_int(turn, "us", 0) / 1000.0;
    const char *message = cvm_json_str(turn, "message_id", ""), *name = cvm_json_str(turn, "conversation", NULL);
    if (json_array_size(json_object_get(story, "conversations")) < 2)
        name = NULL;
    fprintf(cli->out, "%s  %s%s%s  %s  %s%s%s  %.2f ms%s%s%s\n", clock_of(turn), show_bold(cli),
            cvm_json_str(turn, "component", "?"), show_plain(cli), cvm_json_str(turn, "type", "?"),
            good ? show_green(cli) : show_red(cli), outcome, show_plain(cli), ms, name ? "  in " : "", name ? name : "",
            strcmp(message, asked) == 0 ? "   <- this message" : "");
    label(cli, 6, "from");
    fputs(sender[0] ? sender : "outside", cli->out);
    if (!in) /* it stands where it was sent */
        in = sent_message(story, message);
    if (cvm_json_str(in, "content", "")[0]) {
        fputs(": ", cli->out);
        cell(cli, json_object_get(in, "content"));
    }
    fputc('\n', cli->out);
    if (json_object_size(json_object_get(in, "structured_data"))) {
        label(cli, 6, "with");
        inline_members(cli, json_object_get(in, "structured_data"));
        fputc('\n', cli->out);
    }
    show_facts(cli, turn);
    show_record(cli, record);
}

static void show_conversation(const struct cli *cli, const json_t *conversation)
{
    const json_t *context = json_object_get(conversation, "context");
    const char *opened = cvm_json_str(conversation, "opened_at", NULL);
    fprintf(cli->out, "  %s%s%s", show_bold(cli), cvm_json_str(conversation, "name", "?"), show_plain(cli));
    const char *ended = cvm_json_str(conversation, "ended_at", NULL);
    if (opened)
        fprintf(cli->out, "  opened %s%s%s", opened, ended ? ", ended " : ", open", ended ? ended : "");
    fputc('\n', cli->out);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)context, name,
                        value) if (!json_is_object(value) && is_simple(value) &&
                                   !(json_is_array(value) && json_array_size(value) == 0) && !json_is_null(value))
    {
        label(cli, 4, name);
        cell(cli, value);
        fputc('\n', cli->out);
    }
}

/* What is left of turns that were folded away. */
static void show_folded(const struct cli *cli, const json_t *one)
{
    const json_t *lost = json_object_get(one, "notes_lost");
    size_t i;
    json_t *note, *wrote;
    fprintf(cli->out, "\n%s%s%s  %lld turn%s folded on %.10s; decisions:\n", show_bold(cli),
            cvm_json_str(one, "name", "?"), show_plain(cli), (long long)cvm_json_int(one, "turns", 0),
            cvm_json_int(one, "turns", 0) == 1 ? "" : "s", cvm_json_str(one, "folded_at", "?"));
    json_array_foreach(json_object_get(one, "notes"), i, note)
    {
        fprintf(cli->out, "      %s%s%s  %s  %s  %s\n", show_bold(cli), cvm_json_str(note, "what", "note"),
                show_plain(cli), cvm_json_str(note, "component", "?"), cvm_json_str(note, "type", "?"),
                cvm_json_str(note, "outcome", "?"));
        show_note(cli, json_object_get(note, "data"), 8, 0);
    }
    json_array_foreach(json_object_get(one, "state"), i, wrote)
    {
        label(cli, 6, "kept");
        cell(cli, wrote);
        fputc('\n', cli->out);
    }
    if (lost)
        fprintf(cli->out, "      %lld decisions were too many or too long to keep\n",
                (long long)json_integer_value(lost));
}

static void show_story(const struct cli *cli, const json_t *story)
{
    const json_t *conversations = json_object_get(story, "conversations"), *turns = json_object_get(story, "turns");
    const json_t *rows = json_object_get(story, "rows");
    const char *what = cvm_json_str(story, "what", "");
    size_t i;
    json_t *item;
    fprintf(cli->out, "%s: %zu conversation%s, %zu turn%s%s\n", what, json_array_size(conversations),
            json_array_size(conversations) == 1 ? "" : "s", json_array_size(turns),
            json_array_size(turns) == 1 ? "" : "s",
            cvm_json_bool(story, "more", false) ? " (the first; there are more)" : "");
    json_array_foreach((json_t *)(uintptr_t)conversations, i, item) show_conversation(cli, item);
    json_array_foreach(json_object_get(story, "folded"), i, item) show_folded(cli, item);
    json_array_foreach((json_t *)(uintptr_t)turns, i, item)
    {
        fputc('\n', cli->out);
        show_turn(cli, story, item, what);
    }
    if (json_array_size(rows))
        fprintf(cli->out, "\n%sWritten%s\n", show_bold(cli), show_plain(cli));
    json_array_foreach((json_t *)(uintptr_t)rows, i, item)
    {
        label(cli, 2, cvm_json_str(item, "table", "?"));
        inline_members(cli, json_object_get(item, "row"));
        fputc('\n', cli->out);
    }
}

/* ---- what plugins explain ---- */

/* One operation's explanation. CLI_NOT_FOUND: it knows no such thing. */
static int explained(struct cli *cli, const json_t *entry, const char *const words[2])
{
    const json_t *expose = json_object_get(entry, "expose"), *args = json_object_get(expose, "args");
    json_t *request = json_object(), *last = NULL;
    for (size_t i = 0; i < 2 && words[i]; i++)
        if (json_array_size(args) > i)
            json_object_set_new(request, json_string_value(json_array_get(args, i)), json_string(words[i]));
    struct call call = {
        .to = cvm_json_str(entry, "component", ""), .type = cvm_json_str(entry, "type", ""), .data = request};
    int status = json_array_size(args) > (words[1] ? 1 : 0) ? call_wait(cli, &call, &last) : CLI_NOT_FOUND;
    json_decref(request);
    if (status != CLI_OK)
        return status;
    const json_t *data = json_object_get(last, "data");
    if (strcmp(cvm_json_str(last, "outcome", ""), "REPLIED") == 0)
        show_result(cli, data, cvm_json_str(expose, "rows", NULL), json_object_get(expose, "columns"));
    else
        status = CLI_NOT_FOUND; /* also what it refuses as no id of its own */
    json_decref(last);
    return status;
}

static int explain(struct cli *cli, const char *const words[2])
{
    json_t *catalogue = cli_catalogue(cli, NULL), *entry;
    int status = CLI_NOT_FOUND;
    size_t i;
    json_array_foreach(json_object_get(catalogue, "operations"), i, entry)
    {
        if (status == CLI_NOT_FOUND && cvm_json_bool(json_object_get(entry, "expose"), "explains", false))
            status = explained(cli, entry, words);
    }
    json_decref(catalogue);
    return status;
}

int cli_why(struct cli *cli)
{
    const char *words[2] = {NULL, NULL}, *what;
    json_t *story = NULL;
    int status = cli_arguments(cli, "why ID [ABOUT]", NULL, 0, words, 1, 2);
    if (status == CLI_OK && (status = explain(cli, words)) != CLI_NOT_FOUND)
        return status;
    if (status == CLI_NOT_FOUND && words[1])
        return cli_fail(CLI_NOT_FOUND, "nothing is known of %.100s and %.100s together", words[0], words[1]);
    what = words[0];
    if (status == CLI_NOT_FOUND)
        status = cli_ask(cli, json_pack("{s:s, s:s}", "do", "why", "what", what), &story);
    if (status == CLI_OK && cli->output == OUTPUT_JSON)
        show_json(cli, story);
    else if (status == CLI_OK && cli->output == OUTPUT_CSV)
        show_csv(cli, json_object_get(story, "turns"), NULL);
    else if (status == CLI_OK)
        show_story(cli, story);
    json_decref(story);
    return status;
}
