/* Lays results out. */
#include "cli/show.h"

#include "core/json_text.h"
#include <stdlib.h>
#include <sys/ioctl.h>

#define CELL_MAX_COLUMNS 60 /* on a terminal; in a pipe nothing is cut */
#define CELL_MIN_COLUMNS 20 /* of texts; a word stays whole, as it may be an id */
#define COLUMNS_MAX 64
#define DEPTH_MAX 16
#define TEXT_MAX_BYTES (64 * 1024 * 1024)

const char *show_bold(const struct cli *cli)
{
    return cli->color ? "\033[1m" : "";
}

const char *show_dim(const struct cli *cli)
{
    return cli->color ? "\033[2m" : "";
}

const char *show_red(const struct cli *cli)
{
    return cli->color ? "\033[31m" : "";
}

const char *show_green(const struct cli *cli)
{
    return cli->color ? "\033[32m" : "";
}

const char *show_plain(const struct cli *cli)
{
    return cli->color ? "\033[0m" : "";
}

/* ---- widths ---- */

static size_t decode(const char *text, uint32_t *ret_code)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 1;
    uint32_t code = n == 1 ? s[0] : s[0] & (0x7fU >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            *ret_code = 0xfffd;
            return i;
        }
        code = code << 6 | (s[i] & 0x3f);
    }
    *ret_code = code;
    return n;
}

/* The ranges that matter in practice: combining marks and joiners take no column, East Asian wide characters and
 * pictures two. */
static size_t columns_of(uint32_t c)
{
    if ((c >= 0x300 && c <= 0x36f) || (c >= 0x200b && c <= 0x200f) || (c >= 0x20d0 && c <= 0x20ff) ||
        (c >= 0xfe00 && c <= 0xfe0f))
        return 0;
    if ((c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) || (c >= 0xac00 && c <= 0xd7a3) ||
        (c >= 0xf900 && c <= 0xfaff) || (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
        (c >= 0x1f300 && c <= 0x1faff) || (c >= 0x20000 && c <= 0x3fffd))
        return 2;
    return 1;
}

size_t show_width(const char *text)
{
    size_t width = 0;
    uint32_t code;
    for (size_t n; *text; text += n) {
        n = decode(text, &code);
        width += columns_of(code);
    }
    return width;
}

static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x202a && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

void show_text(FILE *out, const char *text)
{
    uint32_t code;
    for (size_t n; *text; text += n) {
        n = decode(text, &code);
        if (*text == '\n' || *text == '\t')
            fputc(*text, out);
        else if (is_control(code))
            fputc('?', out);
        else
            fwrite(text, 1, n, out);
    }
}

/* ---- cells ---- */

static bool is_scalar(const json_t *value)
{
    return !json_is_array(value) && !json_is_object(value);
}

static bool is_flat(const json_t *value)
{
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!is_scalar(json_array_get(value, i)))
            return false;
    return json_is_array(value) || is_scalar(value);
}

/* A text in one line without control characters. */
static void add_clean(struct text *text, const char *s)
{
    uint32_t code;
    for (size_t n; *s; s += n) {
        n = decode(s, &code);
        if (*s == '\n' || *s == '\t' || *s == '\r')
            text_char(text, ' ');
        else if (is_control(code))
            text_char(text, '?');
        else
            text_add(text, s, n);
    }
}

char *show_cell(const json_t *value)
{
    struct text text;
    text_init(&text, TEXT_MAX_BYTES);
    text_puts(&text, "");
    if (json_is_string(value)) {
        add_clean(&text, json_string_value(value));
    } else if (json_is_array(value) && is_flat(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            char *cell = show_cell(json_array_get(value, i));
            text_puts(&text, i ? ", " : "");
            text_puts(&text, cell ? cell : "");
            free(cell);
        }
    } else if (value && !json_is_null(value)) {
        char *json = json_text(value, NULL);
        add_clean(&text, json ? json : "");
        free(json);
    }
    text_char(&text, 0);
    if (!text.failed)
        return text.at;
    text_free(&text);
    return NULL;
}

/* ---- tables ---- */

/* "limits.max" is the member `max` of the member `limits`; a member of the whole name comes first. */
static const json_t *cell_value(const json_t *row, const char *name)
{
    const json_t *value = json_object_get(row, name);
    char first[128];
    size_t n = strcspn(name, ".");
    if (value || !name[n] || n >= sizeof first)
        return value;
    memcpy(first, name, n);
    first[n] = 0;
    return cell_value(json_object_get(row, first), name + n + 1);
}

/* Takes "evidence[].excerpt" apart: the array's name, and what of each of its objects; NULL where it is no such name.
 */
static const char *each_of(const char *name, char ret_array[128])
{
    const char *mark = strstr(name, "[].");
    if (!mark || mark - name >= 128)
        return NULL;
    snprintf(ret_array, 128, "%.*s", (int)(mark - name), name);
    return mark + 3;
}

/* The text of a row's column (free), by what makes the text of a value. */
static char *column_cell(const json_t *row, const char *name, char *(*make)(const json_t *value))
{
    char array[128];
    const char *member = each_of(name, array);
    if (!member)
        return make(cell_value(row, name));
    const json_t *one;
    struct text text;
    size_t i;
    text_init(&text, TEXT_MAX_BYTES);
    json_array_foreach((json_t *)(uintptr_t)cell_value(row, array), i, one)
    {
        char *cell = make(cell_value(one, member));
        text_puts(&text, i ? " | " : "");
        text_puts(&text, cell ? cell : "");
        free(cell);
    }
    text_char(&text, 0);
    if (!text.failed)
        return text.at;
    text_free(&text);
    return NULL;
}

/* What stands above a column: the last word of its name; of an array's members that of the array. Valid until the
 * next call. */
static const char *column_title(const char *name)
{
    static char array[128];
    const char *shown = each_of(name, array) ? array : name, *dot = strrchr(shown, '.');
    return dot ? dot + 1 : shown;
}

static size_t choose_columns(const json_t *rows, const json_t *columns, const char *ret_names[COLUMNS_MAX])
{
    size_t n = 0, i;
    json_t *row, *value;
    const char *name;
    if (columns) {
        for (; n < json_array_size(columns) && n < COLUMNS_MAX; n++)
            ret_names[n] = json_string_value(json_array_get(columns, n));
        return n;
    }
    json_array_foreach((json_t *)(uintptr_t)rows, i, row) json_object_foreach(row, name, value)
    {
        size_t k = 0;
        while (k < n && strcmp(ret_names[k], name) != 0)
            k++;
        if (k == n && n < COLUMNS_MAX && is_flat(value))
            ret_names[n++] = name;
    }
    return n;
}

/* Columns of the terminal; 0: none, or it does not say. */
static size_t terminal_columns(const struct cli *cli)
{
    struct winsize size = {0};
    return cli->terminal && ioctl(fileno(cli->out), TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static void cut(char *cell, size_t most)
{
    size_t width = 0;
    uint32_t code;
    for (char *at = cell; *at;) {
        size_t n = decode(at, &code);
        width += columns_of(code);
        if (width >= most && at[n]) {
            at[0] = '~'; /* one byte fits wherever the cut falls */
            at[1] = 0;
            return;
        }
        at += n;
    }
}

static void fit(const struct cli *cli, char *cell)
{
    if (cli->terminal)
        cut(cell, CELL_MAX_COLUMNS);
}

/* Narrows the widest columns until a line fits. Where it cannot, all stay as they are: lines then wrap. */
static void narrow(const struct cli *cli, const size_t *least, size_t n, size_t *widths)
{
    size_t room = terminal_columns(cli), total = 2 * (n - 1), chosen[COLUMNS_MAX];
    for (size_t c = 0; c < n; c++)
        total += chosen[c] = widths[c];
    while (room && total > room) {
        size_t widest = 0;
        for (size_t c = 1; c < n; c++)
            if (chosen[c] - least[c] > chosen[widest] - least[widest])
                widest = c;
        if (chosen[widest] == least[widest])
            return;
        chosen[widest]--;
        total--;
    }
    memcpy(widths, chosen, n * sizeof *widths);
}

static void pad(FILE *out, size_t n)
{
    for (; n > 0; n--)
        fputc(' ', out);
}

static void upper(FILE *out, const char *name)
{
    for (; *name; name++)
        fputc(*name >= 'a' && *name <= 'z' ? *name - 32 : *name, out);
}

void show_table(const struct cli *cli, const json_t *rows, const json_t *columns)
{
    const char *names[COLUMNS_MAX];
    size_t n = choose_columns(rows, columns, names), n_rows = json_array_size(rows), widths[COLUMNS_MAX],
           least[COLUMNS_MAX];
    bool numeric[COLUMNS_MAX];
    if (n == 0 || (n_rows == 0 && !columns))
        return; /* an empty list whose columns are declared still has its header */
    char **cells = calloc(n_rows * n + 1, sizeof *cells);
    if (!cells)
        return;
    for (size_t c = 0; c < n; c++) {
        widths[c] = show_width(column_title(names[c]));
        numeric[c] = n_rows > 0 && !strstr(names[c], "[].");
        least[c] = widths[c];
        for (size_t r = 0; r < n_rows; r++) {
            const json_t *value = cell_value(json_array_get(rows, r), names[c]);
            char *cell = cells[r * n + c] = column_cell(json_array_get(rows, r), names[c], show_cell);
            if (cell)
                fit(cli, cell);
            size_t width = cell ? show_width(cell) : 0;
            widths[c] = width > widths[c] ? width : widths[c];
            if (width > CELL_MIN_COLUMNS && strchr(cell, ' '))
                width = CELL_MIN_COLUMNS;
            least[c] = width > least[c] ? width : least[c];
            numeric[c] = numeric[c] && (!value || json_is_null(value) || json_is_number(value));
        }
    }
    narrow(cli, least, n, widths);
    for (size_t i = 0; i < n_rows * n; i++)
        if (cells[i])
            cut(cells[i], widths[i % n]);
    fputs(show_bold(cli), cli->out);
    for (size_t c = 0; c < n; c++) {
        size_t gap = widths[c] - show_width(column_title(names[c]));
        if (numeric[c])
            pad(cli->out, gap);
        upper(cli->out, column_title(names[c]));
        if (c + 1 < n)
            pad(cli->out, (numeric[c] ? 0 : gap) + 2);
    }
    fprintf(cli->out, "%s\n", show_plain(cli));
    for (size_t r = 0; r < n_rows; r++) {
        size_t owed = 0; /* spaces at the end of a line are left out */
        for (size_t c = 0; c < n; c++) {
            const char *cell = cells[r * n + c] ? cells[r * n + c] : "";
            size_t gap = widths[c] - show_width(cell);
            owed += numeric[c] ? gap : 0;
            if (*cell) {
                pad(cli->out, owed);
                owed = 0;
                fputs(cell, cli->out);
            }
            owed += (numeric[c] ? 0 : gap) + 2;
        }
        fputc('\n', cli->out);
    }
    for (size_t i = 0; i < n_rows * n; i++)
        free(cells[i]);
    free(cells);
}

/* ---- comma-separated rows ---- */

/* A value as it is, for programs: what is nested is compact JSON, a text keeps its lines. For free(). */
static char *whole_cell(const json_t *value)
{
    if (json_is_string(value))
        return strdup(json_string_value(value));
    return value && !json_is_null(value) ? json_text(value, NULL) : strdup("");
}

static void csv_cell(const struct cli *cli, const char *cell, bool last)
{
    bool quoted = cell[strcspn(cell, ",\"\r\n")] != 0;
    struct text text;
    text_init(&text, TEXT_MAX_BYTES);
    text_puts(&text, quoted ? "\"" : "");
    for (; *cell; cell++) {
        text_puts(&text, *cell == '"' ? "\"" : "");
        text_char(&text, *cell);
    }
    text_puts(&text, quoted ? "\"" : "");
    text_char(&text, 0);
    if (text.failed)
        fputc('?', cli->out);
    else if (cli->terminal)
        show_text(cli->out, text.at);
    else
        fputs(text.at, cli->out);
    fputs(last ? "\r\n" : ",", cli->out);
    text_free(&text);
}

/* What is no object is one with the member "value". Gives a new array. */
static json_t *rows_of_objects(const json_t *rows)
{
    json_t *objects = json_array(), *row;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
        json_array_append_new(objects, json_is_object(row) ? json_incref(row) : json_pack("{s:O}", "value", row));
    return objects;
}

/* The members that the rows have, in the order in which they first come. Gives a new array of names. */
static json_t *all_members(const json_t *rows)
{
    json_t *names = json_array(), *seen = json_object(), *row, *value;
    const char *name;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)rows, i, row) json_object_foreach(row, name, value)
    {
        if (json_object_get(seen, name))
            continue;
        json_object_set_new(seen, name, json_true());
        json_array_append_new(names, json_string(name));
    }
    json_decref(seen);
    return names;
}

static void csv_header(const struct cli *cli, const json_t *names, bool declared)
{
    size_t i, n = json_array_size(names);
    for (i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        csv_cell(cli, declared ? column_title(name) : name, i + 1 == n);
    }
}

static void csv_row(const struct cli *cli, const json_t *row, const json_t *names, bool declared)
{
    size_t i, n = json_array_size(names);
    for (i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        char *cell = declared ? column_cell(row, name, whole_cell) : whole_cell(json_object_get(row, name));
        csv_cell(cli, cell ? cell : "?", i + 1 == n);
        free(cell);
    }
}

void show_csv(const struct cli *cli, const json_t *rows, const json_t *columns)
{
    json_t *objects = rows_of_objects(rows), *row;
    json_t *names = columns ? json_incref((json_t *)(uintptr_t)columns) : all_members(objects);
    size_t i;
    csv_header(cli, names, columns != NULL);
    json_array_foreach(objects, i, row) csv_row(cli, row, names, columns != NULL);
    json_decref(names);
    json_decref(objects);
}

/* ---- objects ---- */

static void show_members(const struct cli *cli, const json_t *value, int depth);

static void show_member(const struct cli *cli, const char *name, const json_t *value, int depth)
{
    pad(cli->out, (size_t)depth * 2);
    fprintf(cli->out, "%s", show_bold(cli));
    show_text(cli->out, name);
    fprintf(cli->out, ":%s", show_plain(cli));
    bool empty = !is_scalar(value) && json_object_size(value) + json_array_size(value) == 0;
    if (is_flat(value) || depth >= DEPTH_MAX || empty) {
        const char *text = json_string_value(value);
        char *cell = text && depth == 0 ? NULL : empty ? NULL : show_cell(value);
        fputs((cell && *cell) || (text && *text) ? " " : "", cli->out);
        if (cell)
            fputs(cell, cli->out);
        else if (text)
            show_text(cli->out, text);
        free(cell);
        fputc('\n', cli->out);
    } else {
        fputc('\n', cli->out);
        show_members(cli, value, depth + 1);
    }
}

static void show_members(const struct cli *cli, const json_t *value, int depth)
{
    const char *name;
    json_t *member;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)value, name, member) show_member(cli, name, member, depth);
    json_array_foreach((json_t *)(uintptr_t)value, i, member)
    {
        char no[24];
        snprintf(no, sizeof no, "%zu", i + 1);
        show_member(cli, no, member, depth);
    }
}

void show_object(const struct cli *cli, const json_t *object, const json_t *columns)
{
    if (!columns) {
        show_members(cli, object, 0);
        return;
    }
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const char *name = json_string_value(json_array_get(columns, i));
        const json_t *value = name ? json_object_get(object, name) : NULL;
        if (value && !json_is_null(value))
            show_member(cli, name, value, 0);
    }
}

json_t *show_names(const char *list)
{
    json_t *array = json_array();
    for (size_t n; *list; list += n + (list[n] == ' ')) {
        n = strcspn(list, " ");
        json_array_append_new(array, json_stringn(list, n));
    }
    return array;
}

void show_line(const struct cli *cli, const json_t *value)
{
    char *text = json_text(value, NULL);
    fprintf(cli->out, "%s\n", text ? text : "null");
    cli_flush(cli);
    free(text);
}

void show_json(const struct cli *cli, const json_t *value)
{
    if (!cli->terminal) {
        show_line(cli, value);
        return;
    }
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    fprintf(cli->out, "%s\n", text ? text : "null");
    free(text);
}

void show_rows(const struct cli *cli, const json_t *rows, const json_t *columns)
{
    if (cli->output == OUTPUT_JSON)
        show_json(cli, rows);
    else if (cli->output == OUTPUT_CSV)
        show_csv(cli, rows, columns);
    else
        show_table(cli, rows, columns);
}

/* An object of objects as rows: the name of each stands in the first column. Gives. */
static json_t *rows_by_name(const json_t *object, const json_t *columns)
{
    const char *first = json_string_value(json_array_get(columns, 0)), *name;
    json_t *rows = json_array(), *member;
    json_object_foreach((json_t *)(uintptr_t)object, name, member)
    {
        json_t *row = json_copy(member);
        if (json_is_object(row) && first)
            json_object_set_new(row, first, json_string(name));
        json_array_append_new(rows, row);
    }
    return rows;
}

static bool has_one(const json_t *data, const json_t *columns)
{
    for (size_t i = 0; i < json_array_size(columns); i++)
        if (cell_value(data, json_string_value(json_array_get(columns, i))))
            return true;
    return false;
}

void show_result(const struct cli *cli, const json_t *data, const char *rows, const json_t *columns)
{
    const json_t *list = rows ? json_object_get(data, rows) : json_is_array(data) ? data : NULL;
    if (cli->output == OUTPUT_JSON) {
        show_json(cli, data);
        return;
    }
    if (json_is_object(list) && columns) {
        json_t *named = rows_by_name(list, columns), *other = json_copy((json_t *)(uintptr_t)data);
        json_object_set_new(other, rows, named);
        show_result(cli, other, rows, columns);
        json_decref(other);
        return;
    }
    if (cli->output == OUTPUT_CSV && json_is_array(list)) {
        show_csv(cli, list, columns);
        return;
    }
    if (cli->output == OUTPUT_CSV) {
        json_t *one = json_pack("[O]", (json_t *)(uintptr_t)data);
        show_csv(cli, one, has_one(data, columns) ? columns : NULL);
        json_decref(one);
        return;
    }
    if (is_scalar(data)) {
        char *cell = show_cell(data);
        fprintf(cli->out, "%s\n", cell ? cell : "");
        free(cell);
        return;
    }
    if (!json_is_array(list)) {
        show_object(cli, data, columns);
        return;
    }
    show_table(cli, list, columns);
    const char *name;
    json_t *value;
    bool first = json_array_size(list) > 0 || columns;
    json_object_foreach((json_t *)(uintptr_t)data, name, value)
    {
        if (value == list || (strcmp(name, "more") == 0 && json_is_false(value)))
            continue;
        if (first)
            fputc('\n', cli->out);
        first = false;
        show_member(cli, name, value, 0);
    }
}

void show_envelope(const struct cli *cli, FILE *out, const json_t *envelope)
{
    const char *at = cvm_json_str(envelope, "timestamp", ""), *outcome = cvm_json_str(envelope, "outcome", NULL);
    const char *sender = cvm_json_str(envelope, "sender", ""), *kind = cvm_json_str(envelope, "message_type", "");
    char *data = show_cell(json_object_get(envelope, "structured_data"));
    if (data)
        fit(cli, data);
    struct text line;
    text_init(&line, TEXT_MAX_BYTES);
    text_printf(&line, "%.12s  %s -> %s  %s%s%s%s  ", strlen(at) > 11 ? at + 11 : at, sender,
                cvm_json_str(envelope, "recipient", "?"), cvm_json_str(envelope, "type", "?"),
                strcmp(kind, "response") == 0  ? " = "
                : strcmp(kind, "request") == 0 ? ""
                                               : " ! ",
                strcmp(kind, "response") == 0  ? (outcome ? outcome : "response")
                : strcmp(kind, "request") == 0 ? ""
                                               : kind,
                "");
    text_puts(&line, data ? data : "");
    text_char(&line, 0);
    fprintf(out, "%s\n", line.failed ? "?" : line.at);
    fflush(out);
    text_free(&line);
    free(data);
}
