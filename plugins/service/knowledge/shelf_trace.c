/* See knowledge.h: what of a document is compared with questions, made when it comes: lines of its rows (trace.h), 16
 * in a value, and the texts of its passages by themselves. A turn that ranks reads these from the component's state:
 * what is recorded of it is which version it read. Loop thread. */
#include "knowledge.h"

#include <stdio.h>

/* Keys are put together by hand: for each row that a question found. */
char *shelf_key(const char kind[6], const char *id, char ret_key[SHELF_KEY_SIZE])
{
    size_t n = strnlen(id, DOCUMENT_ID_MAX);
    memcpy(ret_key, kind, 5);
    memcpy(ret_key + 5, id, n);
    ret_key[5 + n] = '\0';
    return ret_key + 5 + n;
}

/* Of at least so many digits. */
static void put_number(char *to, size_t number, size_t least)
{
    size_t digits = 1;
    for (size_t left = number; left >= 10; left /= 10)
        digits++;
    digits = digits < least ? least : digits;
    to[digits] = '\0';
    for (; digits; number /= 10)
        to[--digits] = (char)('0' + number % 10);
}

static void find_key(const char *id, size_t block, char ret_key[SHELF_KEY_SIZE])
{
    char *to = shelf_key("find/", id, ret_key);
    *to++ = '/';
    put_number(to, block, 1);
}

void shelf_text_key(const char *id, int at, char ret_key[SHELF_KEY_SIZE])
{
    char *to = shelf_key("text/", id, ret_key);
    *to++ = '#';
    put_number(to, (size_t)at, 3);
}

bool shelf_lines(const struct lexicon *lexicon, const json_t *row, char ret_head[TRACE_MAX_BYTES + 1],
                 char ret_body[TRACE_MAX_BYTES + 1])
{
    static struct text_words words; /* of this call */
    char head[800];
    if (!lexicon)
        return false;
    snprintf(head, sizeof head, "%.300s . %.480s", cvm_json_str(row, "title", ""), cvm_json_str(row, "keywords", ""));
    text_read(lexicon, head, &words);
    trace_write(&words, true, ret_head);
    text_read(lexicon, cvm_json_str(row, "body", ""), &words);
    trace_write(&words, strcmp(cvm_json_str(row, "kind", ""), "question") != 0, ret_body);
    return true;
}

/* Which row has the text that answers; -1: none. */
static int answer_of(const json_t *rows, const json_t *row)
{
    json_t *answer = json_object_get(row, "answer");
    for (size_t i = 0; answer && i < json_array_size(rows); i++) {
        const json_t *one = json_array_get(rows, i);
        if (strcmp(cvm_json_str(one, "kind", ""), "passage") == 0 && json_equal(json_object_get(one, "body"), answer))
            return (int)i;
    }
    return -1;
}

static json_t *block_of(const struct lexicon *lexicon, const json_t *rows, size_t from)
{
    char head[TRACE_MAX_BYTES + 1], body[TRACE_MAX_BYTES + 1], line[TRACE_MAX_BYTES + 32];
    json_t *lines = json_array();
    for (size_t i = from; i < json_array_size(rows) && i < from + TRACE_ROWS; i++) {
        const json_t *row = json_array_get(rows, i);
        if (!shelf_lines(lexicon, row, head, body)) {
            json_decref(lines);
            return NULL;
        }
        if (strcmp(cvm_json_str(row, "kind", ""), "question") == 0)
            snprintf(line, sizeof line, "q%d %s", answer_of(rows, row), body);
        else
            snprintf(line, sizeof line, "p%d %s", (int)i, body);
        json_array_append_new(lines, json_string(line));
    }
    const json_t *row = json_array_get(rows, from);
    return json_pack("{s:s, s:O?, s:O?, s:O?, s:O?, s:s, s:o}", "lexicon", lexicon_tag(lexicon), "title",
                     json_object_get(row, "title"), "topic", json_object_get(row, "topic"), "domain",
                     json_object_get(row, "domain"), "source", json_object_get(row, "source"), "head", head, "rows",
                     lines);
}

/* `rows` of kb_chunks, by their positions; none: what there is goes. `rows_before`: of the version before. */
int shelf_trace(cvm_turn *t, const char *id, const json_t *rows, int64_t rows_before)
{
    char key[SHELF_KEY_SIZE];
    size_t n = json_array_size(rows), before = rows_before > 0 ? (size_t)rows_before : 0;
    for (size_t from = 0; from < n || from < before; from += TRACE_ROWS) {
        find_key(id, from / TRACE_ROWS, key);
        CVM_TRY(from < n ? cvm_state_put(t, key, block_of(kb_lexicon(t), rows, from)) : cvm_state_del(t, key));
    }
    for (size_t i = 0; i < n || i < before; i++) {
        const json_t *row = json_array_get(rows, i);
        shelf_text_key(id, (int)i, key);
        if (strcmp(cvm_json_str(row, "kind", ""), "passage") == 0)
            CVM_TRY(cvm_state_put(t, key, cvm_json_share(json_object_get(row, "body"))));
        else if (i < before)
            CVM_TRY(cvm_state_del(t, key));
    }
    return CVM_OK;
}

int shelf_traced(cvm_turn *t, const char *id, int at, const json_t **ret_value)
{
    char key[SHELF_KEY_SIZE];
    const struct lexicon *lexicon = kb_lexicon(t);
    const json_t *value = NULL;
    find_key(id, (size_t)at / TRACE_ROWS, key);
    if (!lexicon)
        return CVM_ENOMEM;
    CVM_TRY(cvm_state_get(t, key, &value));
    if (strcmp(cvm_json_str(value, "lexicon", ""), lexicon_tag(lexicon)) != 0)
        return CVM_ENOENT;
    *ret_value = value;
    return CVM_OK;
}

/* ---- documents that came before there were lines, or other classes of words ----------------------------------------
 */

#define ANEW_ROWS_MAX 1000

int shelf_trace_anew(cvm_turn *t, const char *id)
{
    return cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query),
                                   .table = "kb_chunks",
                                   .where = json_pack("{s:s}", "document_id", id),
                                   .order_by = "position",
                                   .limit = ANEW_ROWS_MAX,
                                   .with = json_pack("{s:s, s:s}", "as", "trace", "document_id", id)});
}

/* The rows are those of the version in force, or there are as many now: else that version made its own lines. */
int shelf_trace_rows(cvm_turn *t, const cvm_msg *m)
{
    const char *id = cvm_json_str(json_object_get(m->data, "with"), "document_id", "");
    const json_t *rows = json_object_get(m->data, "rows"), *doc = NULL, *now = NULL;
    char key[SHELF_KEY_SIZE];
    snprintf(key, sizeof key, "doc/%.64s", id);
    if (m->outcome != CVM_REPLIED || json_array_size(rows) == 0)
        return CVM_OK;
    int e = cvm_state_get(t, key, &doc);
    if (e < 0 || strcmp(cvm_json_str(doc, "status", ""), "active") != 0 ||
        cvm_json_int(doc, "rows", 0) != (int64_t)json_array_size(rows))
        return e == CVM_ENOENT ? CVM_OK : e;
    e = shelf_traced(t, id, 0, &now);
    return e == CVM_ENOENT ? shelf_trace(t, id, rows, 0) : e;
}
