/* Frames, and turns in plugins' own processes: that they are the same as inside the host. What goes wrong with
 * processes is test_process. */
#include "core/json_text.h"
#include "core/log.h"
#include "core/record_read.h"
#include "files.h"
#include "link/frame.h"
#include "link/link.h"
#include "looped.h"

#include <cvm/json.h>
#include <limits.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define A "test.every"
#define B "test.other"

static const char *const EVERY[] = {"every", NULL};

/* ---- frames ------------------------------------------------------------------------------------------------------ */

static void add(struct framer *f, const char *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        size_t part = n - at < LINK_PACKET_MAX_BYTES ? n - at : LINK_PACKET_MAX_BYTES;
        char *room = framer_room(f);
        ck_assert_ptr_nonnull(room);
        memcpy(room, bytes + at, part);
        framer_add(f, part);
        at += part;
    }
}

static size_t put_frame(char *at, enum frame_kind kind, uint64_t turn, const char *body, size_t n)
{
    frame_header(at, (uint16_t)kind, turn, (uint32_t)n);
    memcpy(at + LINK_HEADER_BYTES, body, n);
    return LINK_HEADER_BYTES + n;
}

START_TEST(frames_come_byte_by_byte)
{
    struct framer framer = {0};
    struct frame f;
    char bytes[256];
    size_t n = put_frame(bytes, FRAME_TURN, UINT64_C(0x0123456789abcdef), "{\"a\":1}", 7);
    n += put_frame(bytes + n, FRAME_STOP, 0, "", 0);
    int frames = 0;
    for (size_t i = 0; i < n; i++) {
        add(&framer, bytes + i, 1);
        int r = framer_next(&framer, &f);
        if (i == LINK_HEADER_BYTES + 6) {
            ck_assert_int_eq(r, 1);
            ck_assert_uint_eq(f.kind, FRAME_TURN);
            ck_assert_uint_eq(f.turn, UINT64_C(0x0123456789abcdef));
            ck_assert(f.size == 7 && memcmp(f.body, "{\"a\":1}", 7) == 0);
        } else if (i == n - 1) {
            ck_assert(r == 1 && f.kind == FRAME_STOP && f.size == 0 && f.turn == 0);
        } else {
            ck_assert_int_eq(r, 0);
        }
        frames += r;
    }
    ck_assert_int_eq(frames, 2);
    framer_free(&framer);
}
END_TEST

/* Many in one packet, and large ones over many, as they come in any mixture. */
START_TEST(frames_of_all_sizes_come_whole)
{
    struct framer framer = {0};
    struct frame f;
    static const size_t sizes[] = {0, 1, 100, 65519, 65520, 65521, 65536, 131072, 1000000, LINK_BODY_MAX_BYTES, 3, 0};
    enum { N = sizeof sizes / sizeof *sizes };
    size_t total = 0, next = 0;
    for (int i = 0; i < N; i++)
        total += LINK_HEADER_BYTES + sizes[i];
    char *bytes = malloc(total), *body = malloc(LINK_BODY_MAX_BYTES);
    size_t n = 0;
    for (int i = 0; i < N; i++) {
        memset(body, 'a' + i, sizes[i]);
        n += put_frame(bytes + n, FRAME_ASK, (uint64_t)i, body, sizes[i]);
    }
    for (size_t at = 0; at < total; at += LINK_PACKET_MAX_BYTES) {
        add(&framer, bytes + at, total - at < LINK_PACKET_MAX_BYTES ? total - at : LINK_PACKET_MAX_BYTES);
        while (framer_next(&framer, &f) == 1) {
            ck_assert_uint_eq(f.turn, next);
            ck_assert_uint_eq(f.size, sizes[next]);
            ck_assert(f.size == 0 || (f.body[0] == (char)('a' + next) && f.body[f.size - 1] == (char)('a' + next)));
            next++;
        }
    }
    ck_assert_uint_eq(next, N);
    free(bytes);
    free(body);
    framer_free(&framer);
}
END_TEST

START_TEST(frames_that_break_a_rule_are_none)
{
    struct frame f;
    for (int what = 0; what < 3; what++) {
        struct framer framer = {0};
        char header[LINK_HEADER_BYTES];
        frame_header(header, FRAME_ASK, 1, what == 0 ? LINK_BODY_MAX_BYTES + 1 : what == 1 ? UINT32_MAX : 0);
        if (what == 2)
            header[6] = 1;
        add(&framer, header, sizeof header);
        ck_assert_int_eq(framer_next(&framer, &f), CVM_EDATA);
        framer_free(&framer);
    }
}
END_TEST

/* ---- the same, wherever it runs ---------------------------------------------------------------------------------- */

struct message_said {
    const char *to, *type, *conversation, *steps;
};

/* clang-format off */
static const struct message_said script[] = {
    {A, "do", "one", "[['put','k',1],['get','k'],['get','nothing'],['put','k','two'],['get','k'],['count','n'],['count','n'],['reply']]"},
    {A, "do", "one", "[['get','k'],['count','n'],['del','k'],['get','k'],['del','nothing'],['put','z',null],['get','z'],['reply','said']]"},
    {A, "do", "one", "[['put','s/a',1],['put','s/b',2],['put','s/c',3],['scan','s/'],['del','s/b'],['put','s/aa','x'],['scan','s/'],['scan','s/','s/a'],['scan','s/',null,1],['reply']]"},
    {A, "do", "one", "[['scan','s/'],['del','s/a'],['scan','s/',null,1],['put','s/0',0],['scan','s/',null,2],['scan','s/','s/0',2],['scan','',null,3],['reply']]"},
    {A, "do", "one", "[['scan','s/',null,0],['scan','s/',null,100000],['scan','x*200'],['scan','none/'],['reply']]"},
    {A, "do", "one", "[['put','x*128',1],['put','x*129',1],['put','',1],['put','bad',1],['get','x*128'],['get','x*129'],['get','bad'],['get',''],['put','big','x*65534'],['put','big','x*65535'],['put','nul','nul'],['get','nul'],['reply']]"},
    {A, "do", "one", "[['put_many','many/',70,'x*65000'],['reply']]"},
    {A, "do", "one", "[['context'],['set','/a',1],['set','/b/c',{'d':2}],['set','/l',[1,2]],['set','/l/-',3],['set','/l/-',4],['context'],['set','/a',null],['context'],['set','no',1],['set','',1],['set','/bad',1],['set','/a/b/c/d/e',1],['context'],['reply']]"},
    {A, "do", "one", "[['context'],['set','/l/-',5],['set','/l/0',9],['set','/l/99',9],['set','/gone',null],['set','/x/-',1],['set','/text','x*2000'],['reply'],['context']]"},
    {A, "do", "one", "[['set','/huge','x*1100000'],['set','/huge','x*600000'],['set','/huge2','x*600000'],['reply']]"},
    {A, "do", "two", "[['set','/only',1],['set','bad',1],['reply']]"},
    {A, "do", "two", "[['emit',0,'test.other','do',{'data':{'steps':[['message'],['reply','there']]},'on_behalf':'own','keep':'r'}],['return',1]]"},
    {A, "do", "two", "[['emit',0,'test.other','do',{'data':{'steps':[['message'],['refuse','NO','f','never']]},'content':'please','enquiry_id':'E-1','customer_id':'C-1','session_id':'S-1','tags':['a','b'],'confidence':0.5,'priority':3,'on_behalf':'own'}],['return',1]]"},
    {A, "do", "two", "[['emit',0,'Other','look',{'data':{'steps':[['message'],['put','k',1],['get','k'],['set','/k',1],['timer','tick',1],['context'],['new_id','L'],['note','n',1],['end'],['reply']]},'on_behalf':'own'}],['return',1]]"},
    {A, "do", "two", "[['emit',0,'role:test.other','do',{'data':{'steps':[['message'],['settle','own',5,{'x':1},'unsure']]},'on_behalf':'own','conversation':'elsewhere','fresh':true}],['return',1]]"},
    {A, "do", "two", "[['emit',1,'test.other','do',{'data':{'steps':[['count','sent']]}}],['emit',1,'test.other','do',{'message_type':3,'data':{'steps':[['message'],['count','sent']]}}],['reply']]"},
    {A, "do", "two", "[['emit',2,null,'test.word',{'data':{'steps':[['message'],['count','word']]}}],['emit',1,'BROADCAST','test.word',{'data':{'steps':[['count','word']]}}],['reply']]"},
    {A, "do", "two", "[['emit',0,'nobody','do'],['emit',0,'test.other','nothing'],['emit',0,'test.other','do',{'content':'bad'}],['emit',0,'test.other','do',{'content':'x*65537'}],['emit',0,'test.other','do',{'enquiry_id':'x*128'}],['emit',0,'test.other','do',{'enquiry_id':'bad'}],['emit',0,'test.other','do',{'confidence':1.5}],['emit',7,'test.other','do'],['emit',0,null,'do'],['emit',0,'test.other',null],['emit',0,'host.redrive','redrive'],['emit',2,null,'test.stranger'],['emit',0,'BROADCAST','test.word'],['emit',3,'test.other','do'],['emit',0,'test.other','do',{'message_type':9}],['emit',0,'test.other','do',{'tags':[1]}],['emit',0,'role:none','do'],['reply']]"},
    {A, "do", "three", "[['emit',3,'test.other','do',{'request':'own','data':{'steps':[['message'],['reply','in its place']]}}],['return',1]]"},
    {A, "do", "three", "[['emit',3,'test.other','do',{'request':'own','data':{'steps':[['reply']]}}],['settle','own',0,{}],['emit',3,'test.other','do',{'request':'own'}],['return',1]]"},
    {A, "do", "three", "[['reply'],['reply'],['settle','own',1,{'again':1}],['settle','none',0,{}],['settle','own',9,{}],['emit',3,'test.other','do',{'request':'own'}]]"},
    {A, "do", "three", "[['settle','own',9,{}],['settle','own',0,[]],['settle','own',0,{},'bad'],['settle','own',0,{},'x*65537'],['settle','own',1,{'code':'KEPT'},'no'],['count','kept']]"},
    {A, "do", "three", "[['emit',0,'test.other','do',{'keep':'open','timeout_ms':50000,'data':{'steps':[['keep','mine'],['return',1]]}}],['settle','own',0,{}]]"},
    {A, "do", "three", "[['settle','open',0,{}],['emit',3,'test.other','do',{'request':'open'}],['reply']]"},
    {B, "do", "three", "[['settle','mine',0,{}],['settle','mine',0,{}],['reply']]"},
    {A, "do", "four", "[['refuse','NOT_NOW','day','not today'],['count','gone']]"},
    {A, "do", "four", "[['count','gone'],['refuse_with',{'own':'body'}]]"},
    {A, "do", "four", "[['refuse_with',[1]],['reply']]"},
    {A, "do", "four", "[['refuse','FIRST'],['return',0],['reply']]"},
    {A, "do", "four", "[['count','gone'],['emit',1,'test.other','do',{'data':{'steps':[['count','never']]}}],['secret','STRANGE'],['get','gone'],['return',-1]]"},
    {A, "do", "four", "[['count','gone'],['return',-4]]"},
    {A, "do", "four", "[['count','gone'],['return',-9999]]"},
    {A, "do", "four", "[['count','gone'],['return',77]]"},
    {A, "do", "four", "[['count','gone'],['return',0]]"},
    {A, "do", "four", "[['count','gone'],['return',-7]]"},
    {A, "retried", "four", "[['count','gone'],['emit',1,'test.other','do',{'data':{'steps':[['count','never']]}}],['return',-7]]"},
    {A, "do", "five", "[['timer','tick',1,{'steps':[['message'],['count','ticks'],['context'],['settle','behalf',0]]},'t'],['timer','tick',1000,{'steps':[['count','never']]},'late'],['timer','none',1],['timer','tick',-1],['timer','tick',1,[1]],['cancel','t'],['cancel','own'],['cancel','none'],['reply']]"},
    {A, "do", "five", "[['cancel','late'],['cancel','late'],['cancel','t'],['reply']]"},
    {A, "do", "five", "[['timer','tick',1,{'steps':[['settle','behalf',0]]},null,1],['return',1]]"},
    {A, "do", "six", "[['new_id','EVY'],['new_id','EVY'],['new_id','OTH'],['new_id',''],['new_id','TOOLONGIT'],['new_id','bad'],['new_id','EVY',1],['new_id','EVY'],['get','.id/EVY'],['scan','.id/'],['reply']]"},
    {A, "do", "six", "[['new_id','EVY'],['put','.id/EVY',100],['new_id','EVY'],['get','.id/EVY'],['reply']]"},
    {A, "do", "six", "[['random',3],['hmac','key','data'],['hmac','',''],['mac',0,'key','data'],['mac',1,'key','data'],['mac',2,'key','data'],['match','(a)(b)?','xab',0],['match','(a)','xx',0],['match','(','xx',0],['match','a','aaa',2],['reply']]"},
    {B, "do", "six", "[['random',3],['new_id','EVY'],['settings'],['reply']]"},
    {A, "do", "six", "[['settings'],['registry','components'],['registry','domains'],['registry','nothing'],['secret','EVERY_OWN'],['secret','EVERY_UNSET'],['secret','STRANGE'],['secret',''],['secret','EVERY_OWN'],['reply']]"},
    {A, "do", "six", "[['log',0,'low'],['log',1,'hello'],['log',2,'careful'],['log',3,'wrong'],['log',2,'x*1500'],['log',2,'bad'],['reply']]"},
    {A, "do", "six", "[['note','seen',{'a':1}],['note','again',null],['note','huge','x*900000'],['note','huge','x*900000'],['note','decision',{'confidence':0.25}],['reply']]"},
    {A, "do", "six", "[['row','every_rows',{'row_id':'r1','n':1,'conversation':'six'}],['row','every_rows',{'row_id':'r2','n':2}],['row','every_rows',{'n':1}],['row','every_rows',{'row_id':'r3','x':1}],['row','strange',{}],['row','every_rows',[1]],['unrow','every_rows','r2'],['unrow','every_rows','none'],['unrow','strange','r'],['reply']]"},
    {A, "do", "six", "[['ask','every_rows',null,'-n',10],['return',1]]"},
    {A, "do", "six", "[['ask','strange',null],['ask','every_rows',{'nothing':1}],['ask','every_rows',null,'nothing'],['ask','every_rows',null,null,5000],['reply']]"},
    {A, "do", "six", "[['call','read','/x',{'q':'a b','n':1},{'X-Y':'z'},null,null],['return',1]]"},
    {A, "do", "six", "[['call','post',null,null,{'Authorization':'${EVERY_OWN}'},{'a':1},'key-1','c'],['return',1]]"},
    {A, "do", "six", "[['call','strange'],['call','nowhere'],['call','post',null,[1]],['call','post',null,null,{'a':'b\\nc'}],['call','post',null,null,null,null,'x*257'],['call','post',null,null,null,null,'bad'],['reply']]"},
    {A, "look", NULL, "[['message'],['put','k',1],['get','n'],['set','/a',1],['context'],['timer','tick',1],['call','post'],['row','every_rows',{'row_id':'e'}],['note','n',1],['end'],['new_id','X'],['scan','s/'],['cancel','none'],['secret','EVERY_OWN'],['settings'],['reply']]"},
    {A, "look", NULL, "[['emit',0,'test.other','look',{'on_behalf':'own','data':{'steps':[['message'],['reply']]}}],['return',1]]"},
    {A, "look", NULL, "[['return',-1]]"},
    {A, "look", NULL, "[['refuse','NO']]"},
    {A, "do", "seven", "[['emit',1,'test.other','do',{'n':300,'data':{'steps':[['count','flood']]}}],['reply']]"},
    {A, "do", "seven", "[['emit',1,'test.other','do',{'n':255,'data':{'steps':[['count','flood']]}}],['emit',1,'nobody','do',{'n':300}],['reply'],['reply']]"},
    {A, "do", "seven", "[['timer','tick',1,{'steps':[['count','flood']]},null,300],['reply']]"},
    {A, "do", "seven", "[['timer','tick',1,{'steps':[['count','flood']]},null,200],['emit',1,'test.other','do',{'n':60,'data':{'steps':[['count','flood']]}}],['reply']]"},
    {A, "do", "seven", "[['emit',1,'test.other','do',{'n':20,'bytes':1,'content':'x*60000'}],['reply']]"},
    {A, "do", "seven", "[['note','big','x*500000'],['note','big','x*500000'],['emit',1,'test.other','do',{'content':'x*60000'}],['row','every_rows',{'row_id':'big'}],['reply','x*60000']]"},
    {A, "do", "seven", "[['emit',2,null,'test.word',{'n':300,'data':{'steps':[]}}],['reply']]"},
    {A, "do", "eight", "[['emit',0,'test.every','do',{'on_behalf':'own','timeout_ms':400,'data':{'steps':[['return',1]]}}],['return',1]]"},
    {A, "do", "eight", "[['end'],['reply']]"},
    {A, "do", "eight", "[['context'],['count','after'],['reply']]"},
    {A, "do", "large", "[['timer','tick',1,{'fill':'x*3000000'}],['reply']]"},
    {A, "do", "large", "[['call','post',null,null,null,{'fill':'x*3000000'}],['reply']]"},
    {A, "do", "large", "[['ask','every_rows',{'fill':'x*3000000'}],['reply']]"},
    {A, "do", "large", "[['row','every_rows',{'row_id':'f','fill':'x*3000000'}],['reply']]"},
    {A, "do", "large", "[['ask','every_rows',null,null,1,8],['reply']]"},
    {A, "do", "nine", "[]"},
    {B, "do", "nine", "[['get','word'],['get','sent'],['get','flood'],['get','never'],['scan','',null,50],['reply']]"},
    {A, "do", "nine", "[['scan','',null,90],['context'],['reply']]"},
};
/* clang-format on */
#define N_SAID (sizeof script / sizeof *script)

/* What depends on when a test runs. */
static void forget_times(json_t *value)
{
    const char *key;
    size_t i;
    json_t *v;
    if (json_is_integer(value) && json_integer_value(value) > INT64_C(1500000000000) &&
        json_integer_value(value) < INT64_C(4000000000000))
        json_integer_set(value, 0);
    json_object_foreach(value, key, v) forget_times(v);
    json_array_foreach(value, i, v) forget_times(v);
}

static void forget_texts(json_t *value)
{
    const char *key, *text;
    size_t i;
    json_t *v;
    if ((text = json_string_value(value)) && strlen(text) >= 20 && strncmp(text, "20", 2) == 0 && text[10] == 'T')
        json_string_set(value, "a time");
    if (json_object_get(value, "deadline_ms")) /* of a request handed on: what is left of it */
        json_object_set_new(value, "deadline_ms",
                            json_integer((json_integer_value(json_object_get(value, "deadline_ms")) + 500) / 1000));
    json_object_foreach(value, key, v) forget_texts(v);
    json_array_foreach(value, i, v) forget_texts(v);
}

/* Rows of a question as lines of JSON. */
static json_t *rows_of(struct looped *l, const char *sql)
{
    char path[256];
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    json_t *rows = json_array();
    looped_path(l, "data/cvmhost.db", path);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
    while (sqlite3_step(st) == SQLITE_ROW) {
        json_t *row = json_object();
        for (int i = 0; i < sqlite3_column_count(st); i++) {
            const char *text = (const char *)sqlite3_column_text(st, i);
            json_t *v = text && (*text == '{' || *text == '[') ? json_loads(text, JSON_ALLOW_NUL, NULL) : NULL;
            if (v && json_is_object(v))
                json_object_del(v, "us");
            if (sqlite3_column_type(st, i) == SQLITE_INTEGER)
                v = json_integer(sqlite3_column_int64(st, i));
            json_object_set_new(row, sqlite3_column_name(st, i), v ? v : text ? json_string(text) : json_null());
        }
        if (json_object_get(row, "_key")) /* as they read: messages of one process may share their data */
            record_unpack(row);
        forget_times(row);
        forget_texts(row);
        json_array_append_new(rows, row);
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
    return rows;
}

static json_t *log_of(const char *path)
{
    json_t *lines = json_array();
    char *line = NULL;
    size_t size = 0;
    FILE *f = fopen(path, "re");
    ck_assert_ptr_nonnull(f);
    while (getline(&line, &size, f) > 0) {
        json_t *v = json_loads(line, 0, NULL);
        const char *about = NULL;
        const char *key;
        json_t *member;
        json_object_foreach(v, key, member) if (json_is_string(member) &&
                                                strncmp(json_string_value(member), "test.", 5) == 0) about = key;
        json_object_del(v, "at");
        json_object_del(v, "time");
        json_object_del(v, "ts");
        forget_texts(v);
        forget_times(v);
        /* what is refused is told at most so often, and not all of it there */
        if (about && !strstr(cvm_json_str(v, "text", ""), ": cvm_"))
            json_array_append(lines, v);
        json_decref(v);
    }
    free(line);
    fclose(f);
    return lines;
}

static char *with_quotes(const char *steps)
{
    char *text = strdup(steps);
    for (char *c = text; *c; c++)
        if (*c == '\'')
            *c = '"';
    return text;
}

static void change_store(struct looped *l, const char *sql)
{
    char path[256];
    sqlite3 *db = NULL;
    looped_path(l, "data/cvmhost.db", path);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

static void set_key(struct looped *l)
{
    change_store(l, "UPDATE meta SET value = 42 WHERE key = 'short_id_key'");
}

/* Of several changes of a row in one commit, in one turn or in several, only the last is written. */
START_TEST(a_row_is_written_once)
{
    static const char steps[] =
        "[['row','every_rows',{'row_id':'a','n':1}],['row','every_rows',{'row_id':'b','n':1}],"
        "['row','every_rows',{'row_id':'a','n':2,'fill':'f'}],['unrow','every_rows','b'],"
        "['row','every_rows',{'row_id':'c','n':1}],['unrow','every_rows','c'],['row','every_rows',{'row_id':'c','n':3}]"
        ","
        "['row','every_rows',{'row_id':'d','n':1}],"
        "['emit',1,'test.other','do',{'data':{'steps':[['row','every_rows',{'row_id':'a','n':4}]]}}],['reply']]";
    static const char watch[] =
        "CREATE TABLE watched(what TEXT);"
        "CREATE TRIGGER watch_put AFTER INSERT ON every_rows BEGIN INSERT INTO watched"
        " VALUES(new.row_id || new.n || ifnull(new.fill, '')); END;"
        "CREATE TRIGGER watch_update AFTER UPDATE ON every_rows BEGIN INSERT INTO watched VALUES('again'); END;"
        "CREATE TRIGGER watch_del AFTER DELETE ON every_rows BEGIN INSERT INTO watched VALUES('gone'); END;";
    struct looped *l = looped_new(EVERY, false, 100, NULL);
    looped_open(l, false);
    looped_stop(l);
    change_store(l, watch);
    for (int again = 0; again < 2; again++) { /* the second time the rows are there */
        struct answer_seen seen = {0};
        looped_open(l, false);
        char *text = with_quotes(steps);
        looped_submit(l, A, "do", "rows", looped_steps(text), &seen);
        free(text);
        ck_assert(looped_until(l, &seen.n, 5000));
        looped_quiet(l);
        looped_stop(l);
        json_decref(seen.data);
        json_t *rows =
            rows_of(l, "SELECT group_concat(what, ' ') AS all_of FROM (SELECT what FROM watched ORDER BY 1)");
        ck_assert_str_eq(cvm_json_str(json_array_get(rows, 0), "all_of", ""),
                         again ? "a4 again again again c3 d1" : "a4 c3 d1");
        json_decref(rows);
        ck_assert_int_eq(looped_count(l, "SELECT count(*) FROM every_rows"), 3);
    }
    looped_free(l);
}
END_TEST

/* The whole script; gives what was answered and what is stored: an object of lists. */
static json_t *run_script(bool process, bool on_loop)
{
    char path[256];
    json_t *all = json_object(), *answers = json_array();
    setenv("EVERY_OWN", "a secret of ours", 1);
    struct looped *l = looped_new(EVERY, process, 100, NULL);
    looped_open(l, on_loop);
    looped_stop(l);
    set_key(l);
    looped_path(l, "said.log", path);
    log_open(path, LOG_INFO, 0);
    looped_open(l, on_loop);
    ck_assert(!process == !looped_process(l, "every"));
    for (size_t i = 0; i < N_SAID; i++) {
        const struct message_said *s = &script[i];
        struct answer_seen seen = {0};
        char *steps = with_quotes(s->steps);
        looped_submit(l, s->to, s->type, s->conversation, looped_steps(steps), &seen);
        free(steps);
        ck_assert_msg(looped_until(l, &seen.n, 5000), "%s: no answer to %zu: %s", process ? "process" : "inline", i,
                      s->steps);
        json_array_append_new(answers, json_pack("[i, s, i, o]", (int)i, s->steps, seen.outcome, seen.data));
        looped_quiet(l);
        looped_pass(l, 10);
        looped_quiet(l);
    }
    looped_pass(l, 1200);
    json_t *ps = core_ps(l->v->core);
    looped_stop(l);
    log_open(NULL, LOG_WARNING, 1);
    forget_times(answers);
    json_object_set_new(all, "answers", answers);
    json_object_set_new(
        all, "turns",
        rows_of(l, "SELECT component, hex(message), type, sender, outcome, build, record, " RECORD_COLUMNS(
                       "turns") " FROM turns WHERE component <> 'host'"));
    json_object_set_new(all, "state",
                        rows_of(l, on_loop ? "SELECT component, key, value, version FROM state ORDER BY 1, 2"
                                           : "SELECT component, key, value, version, turn FROM state ORDER BY 1, 2"));
    json_object_set_new(all, "contexts",
                        rows_of(l, "SELECT name, parent, version, ended_ms > 0, doc FROM contexts ORDER BY 1"));
    json_object_set_new(all, "rows", rows_of(l, "SELECT * FROM every_rows ORDER BY row_id"));
    json_object_set_new(all, "open", rows_of(l, "SELECT kind FROM open_items ORDER BY no"));
    json_object_set_new(all, "dead", rows_of(l, "SELECT hex(message), component, type, reason FROM dead_letters"));
    json_object_set_new(all, "log", log_of(path));
    json_object_set_new(all, "calls", json_pack("[i]", l->calls));
    json_t *counts = json_array(), *c;
    size_t i;
    json_array_foreach(json_object_get(ps, "components"), i, c) if (strncmp(cvm_json_str(c, "id", ""), "test.", 5) == 0)
        json_array_append_new(counts, json_pack("{s:s, s:o, s:o, s:o, s:o}", "id", cvm_json_str(c, "id", ""),
                                                "delivered", json_incref(json_object_get(c, "delivered")), "errors",
                                                json_incref(json_object_get(c, "errors")), "faults",
                                                json_incref(json_object_get(c, "faults")), "refusals",
                                                json_incref(json_object_get(c, "refusals"))));
    json_object_set_new(all, "counts", counts);
    json_decref(ps);
    looped_free(l);
    return all;
}

static char *shown(const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    if (text && strlen(text) > 6000)
        text[6000] = 0;
    return text;
}

/* Leaves in both only what differs. */
static void strip_same(json_t *a, json_t *b)
{
    const char *key;
    void *next;
    json_t *value;
    json_object_foreach_safe(a, next, key,
                             value) if (json_object_get(b, key) && json_equal(value, json_object_get(b, key)))
    {
        json_object_del(b, key);
        json_object_del(a, key);
    }
    for (size_t i = 0; i < json_array_size(a); i++)
        strip_same(json_array_get(a, i), json_array_get(b, i));
}

/* All differences, so that one run shows them. */
static int compare(const json_t *inside, const json_t *outside)
{
    const char *key;
    json_t *list;
    int n = 0;
    json_object_foreach((json_t *)(uintptr_t)inside, key, list)
    {
        const json_t *other = json_object_get(outside, key);
        size_t most = json_array_size(list) > json_array_size(other) ? json_array_size(list) : json_array_size(other);
        for (size_t i = 0, told = 0; i < most && told < 8; i++) {
            json_t *a = json_array_get(list, i), *b = json_array_get(other, i);
            if (a && b && json_equal(a, b))
                continue;
            strip_same(a, b);
            char *x = shown(a), *y = shown(b);
            fprintf(stderr, "%s %zu\n  inside:  %s\n  process: %s\n", key, i, x ? x : "nothing", y ? y : "nothing");
            free(x);
            free(y);
            n++;
            told++;
        }
    }
    return n;
}

static void check_same(bool on_loop)
{
    json_t *inside = run_script(false, on_loop), *outside = run_script(true, on_loop);
    ck_assert_int_eq(compare(inside, outside), 0);
    ck_assert_uint_gt(json_array_size(json_object_get(inside, "turns")), N_SAID);
    json_decref(inside);
    json_decref(outside);
}

START_TEST(a_process_does_the_same_under_the_virtual_clock)
{
    check_same(false);
}
END_TEST

START_TEST(a_process_does_the_same_on_a_loop)
{
    check_same(true);
}
END_TEST

/* ---- the host's end ---------------------------------------------------------------------------------------------- */

/* A program that speaks the link, started as if it were the runner. */
static struct link *spawn(const char *name)
{
    char path[PATH_MAX], error[256] = "";
    struct link *l = NULL;
    files_built(name, path);
    const struct link_spec spec = {.runner = path, .plugin = "one", .program = path};
    ck_assert_msg(link_spawn(&spec, &l, error, sizeof error) == 0, "%s", error);
    return l;
}

static void greet(struct link *l, const char *version)
{
    char hello[64];
    int n = snprintf(hello, sizeof hello, "{\"link\":1,\"version\":\"%s\"}", version);
    ck_assert_int_eq(link_send(l, FRAME_HELLO, 0, hello, (size_t)n), 0);
    ck_assert_int_eq(link_flush(l), 0);
}

static int receive(struct link *l, struct frame *ret_frame)
{
    int e = 0;
    for (int i = 0; i < 100 && !e; i++)
        if (!(e = link_receive(l, ret_frame)))
            link_wait(l, 100);
    return e;
}

START_TEST(what_cannot_be_started_is_said)
{
    char error[256] = "";
    struct link *l = NULL;
    const struct link_spec spec = {.runner = "/nowhere/cvmhost", .plugin = "one", .program = "/nowhere/one"};
    ck_assert_int_eq(link_spawn(&spec, &l, error, sizeof error), CVM_EIO);
    ck_assert_str_eq(error, "one: its process cannot be started: No such file or directory");
    ck_assert_ptr_null(l);
}
END_TEST

/* A host that was started with its first descriptors closed: the child's must not be taken from below. */
START_TEST(low_descriptors_are_moved_out_of_the_way)
{
    close(0);
    struct link *l = spawn("plugins/rogue");
    struct frame f;
    ck_assert_int_gt(link_fd(l), LINK_FD);
    ck_assert_int_gt(link_errors_fd(l), LINK_FD);
    greet(l, "1.0.0");
    ck_assert_int_eq(receive(l, &f), 1);
    ck_assert_int_eq(f.kind, FRAME_READY);
    link_close(l);
}
END_TEST

/* What the process does not read waits here, up to a limit; and goes out in order when it reads again. */
START_TEST(what_is_not_read_is_limited)
{
    struct link *l = spawn("plugins/rogue");
    struct frame f;
    char *body = calloc(1, LINK_BODY_MAX_BYTES + 1);
    memset(body, ' ', LINK_BODY_MAX_BYTES);
    greet(l, "1.0.0");
    ck_assert_int_eq(receive(l, &f), 1);
    link_kill(l, SIGSTOP);
    ck_assert_int_eq(link_send(l, FRAME_TURN, 1, body, LINK_BODY_MAX_BYTES + 1), CVM_ELIMIT);
    int n = 0, e = 0;
    while ((e = link_send(l, FRAME_TURN, (uint64_t)n + 1, body, 1000000)) == 0 && n < 100) {
        ck_assert_int_ge(link_flush(l), 0);
        n++;
    }
    ck_assert_int_eq(e, CVM_ELIMIT);
    ck_assert_int_gt(n, 30);
    ck_assert_int_eq(link_flush(l), 1);
    link_kill(l, SIGCONT);
    int done = 0;
    for (int i = 0; i < 5000 && done < n; i++) {
        while ((e = link_receive(l, &f)) == 1)
            done += f.kind == FRAME_DONE && f.turn == (uint64_t)done + 1;
        ck_assert_int_eq(e, 0);
        link_wait(l, 10);
    }
    ck_assert_int_eq(done, n); /* it takes them all, one after another */
    ck_assert_int_eq(link_send(l, FRAME_STOP, 0, NULL, 0), 0);
    ck_assert_int_eq(link_flush(l), 0);
    free(body);
    link_close(l);
}
END_TEST

START_TEST(a_packet_that_is_too_large_is_no_frame)
{
    struct link *l = spawn("plugins/rogue");
    struct frame f;
    char text[128];
    greet(l, "1.0.0-packet");
    ck_assert_int_eq(receive(l, &f), CVM_EDATA);
    ck_assert(!link_ending(l, 0, text, sizeof text));
    ck_assert_str_eq(text, "its link is broken");
    link_kill(l, SIGTERM);
    ck_assert(link_ending(l, 5000, text, sizeof text));
    ck_assert_str_eq(text, "killed by signal 15 (Terminated)");
    ck_assert_int_eq(link_send(l, FRAME_STOP, 0, NULL, 0), 0);
    ck_assert_int_eq(link_wait(l, 10), CVM_EIO); /* nobody is there to take it */
    link_close(l);
}
END_TEST

/* The runner as the host starts it, with a file as what it should run. */
static struct link *run(const char *path, bool program)
{
    char error[256] = "";
    struct link *l = NULL;
    const struct link_spec spec = {
        .runner = TEST_RUNNER, .plugin = "one", .library = program ? NULL : path, .program = program ? path : NULL};
    ck_assert_msg(link_spawn(&spec, &l, error, sizeof error) == 0, "%s", error);
    return l;
}

static void check_ending(struct link *l, const char *ending)
{
    char text[128] = "";
    ck_assert(link_ending(l, 10000, text, sizeof text));
    ck_assert_str_eq(text, ending);
    link_close(l);
}

static void check_fails(const char *path, bool program, const char *step, const char *text)
{
    struct link *l = run(path, program);
    struct frame f;
    greet(l, "1.0.0");
    ck_assert_msg(receive(l, &f) == 1 && f.kind == FRAME_FAILED, "%s", path);
    json_t *body = json_loadb(f.body, f.size, 0, NULL);
    const char *said = cvm_json_str(body, "text", "");
    ck_assert_str_eq(cvm_json_str(body, "step", ""), step);
    ck_assert_msg(strstr(said, text), "%s: %s", path, said);
    json_decref(body);
    link_close(l);
}

/* What cannot be loaded or run says so before it ends, and at which step. */
START_TEST(what_does_not_come_up_says_why)
{
    char folder[] = "/tmp/cvm-link-XXXXXX", path[64];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/one", folder);
    check_fails(path, false, "confine", "No such file");
    files_write(path, "no library", 10);
    ck_assert_int_eq(chmod(path, 0755), 0);
    check_fails(path, false, "load", "file too short");
    check_fails(path, true, "load", "cannot be run: Exec format error");
    check_fails("/lib/x86_64-linux-gnu/libz.so.1", false, "load", "it exports no descriptor of this interface");
    unlink(path);
    rmdir(folder);
}
END_TEST

/* The runner believes its host no more than the host believes it: what breaks a rule ends the process. */
START_TEST(a_runner_ends_where_its_host_breaks_a_rule)
{
    static const struct {
        enum frame_kind kind;
        const char *body;
    } firsts[] = {{FRAME_HELLO, "{\"link\":2}"}, {FRAME_HELLO, "{"}, {FRAME_TURN, "{\"link\":1}"}},
      turns[] = {{FRAME_TURN, "{"},
                 {FRAME_TURN, "{\"route\":1000}"},
                 {FRAME_TURN, "{\"route\":0,\"message\":{\"to\":\"test.nobody\"}}"}};
    static const char hello[] = "{\"link\":1,\"components\":[{\"id\":\"test.every\",\"salt\":\"1\"}]}";
    char path[PATH_MAX];
    struct frame f;
    files_built("plugins/every.so", path);
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        struct link *l = run(path, false);
        ck_assert_int_eq(link_send(l, firsts[i].kind, 0, firsts[i].body, strlen(firsts[i].body)), 0);
        ck_assert_int_eq(link_flush(l), 0);
        check_ending(l, "ended with exit status 70");
    }
    for (size_t i = 0; i <= sizeof turns / sizeof *turns; i++) {
        struct link *l = run(path, false);
        ck_assert_int_eq(link_send(l, FRAME_HELLO, 0, hello, sizeof hello - 1), 0);
        ck_assert_int_eq(link_flush(l), 0);
        ck_assert(receive(l, &f) == 1 && f.kind == FRAME_READY);
        if (i == sizeof turns / sizeof *turns)
            ck_assert_int_eq(send(link_fd(l), "GET / HTTP/1.1\r\nHost: nowhere\r\n\r\n", 33, 0), 33);
        else
            ck_assert_int_eq(link_send(l, turns[i].kind, 1, turns[i].body, strlen(turns[i].body)), 0);
        ck_assert_int_eq(link_flush(l), 0);
        check_ending(l, "ended with exit status 70");
    }
}
END_TEST

/* Somebody who starts it by hand is told what to do instead. */
START_TEST(a_runner_is_for_the_host_alone)
{
    int status, out[2];
    char text[128] = "", name[] = TEST_RUNNER, command[] = "run-plugin", *argv[] = {name, command, NULL};
    ck_assert_int_eq(pipe(out), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out[1], 2);
        execv(name, argv);
        _exit(99);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 2);
    ck_assert_int_gt(read(out[0], text, sizeof text - 1), 0);
    ck_assert_msg(strstr(text, "cvmhost serve"), "%s", text);
    close(out[0]);
    close(out[1]);
}
END_TEST

/* "sort" of the sorter, in the time that a model takes to be learnt where it is not ready yet. Gives a new reference.
 */
static json_t *sort(struct looped *l, const char *model, const char *text, bool wait)
{
    struct answer_seen seen = {0};
    for (int i = 0; i < 300 && (!i || (wait && cvm_json_int(seen.data, "error", 0) == CVM_ENOENT)); i++) {
        seen.n = 0;
        looped_submit(l, "test.sorter", "sort", NULL, json_pack("{s:s, s:s}", "model", model, "text", text), &seen);
        looped_until(l, &seen.n, 20000);
        ck_assert_int_eq(seen.outcome, CVM_REPLIED);
        looped_pass(l, i ? 100 : 1);
    }
    return seen.data;
}

/* What a component asks about a text is answered, and refused, alike in both places. */
START_TEST(models_are_asked_across_the_link)
{
    static const char *const SORTER[] = {"sorter", NULL};
    static char large[70001];
    memset(large, 'x', sizeof large - 1);
    json_t *both[2];
    for (int process = 0; process < 2; process++) {
        struct looped *l = looped_new(SORTER, process, 100, NULL);
        char path[256];
        looped_path(l, "manifests/sorter", path);
        ck_assert_int_eq(mkdir(path, 0700), 0);
        looped_path(l, "manifests/sorter/examples.jsonl", path);
        files_copy(TEST_PLUGINS "/sorter/examples.jsonl", path);
        looped_open(l, true);
        ck_assert_int_eq(json_is_object(looped_process(l, "sorter")), process);
        both[process] = json_pack("[o, o, o]", sort(l, "kind", "where is my granite", true),
                                  sort(l, "none", "a stone", false), sort(l, "kind", large, false));
        looped_free(l);
    }
    char *text = json_dumps(both[1], JSON_COMPACT);
    ck_assert_msg(json_equal(both[0], both[1]), "%s", text);
    const json_t *kind = json_object_get(json_object_get(json_array_get(both[1], 0), "labels"), "kind");
    const char *best = json_string_value(json_array_get(json_array_get(kind, 0), 0));
    ck_assert_msg(best && strcmp(best, "STONE") == 0, "%s", text);
    ck_assert_int_eq(cvm_json_int(json_array_get(both[1], 1), "error", 0), CVM_EACCES);
    ck_assert_int_eq(cvm_json_int(json_array_get(both[1], 2), "error", 0), CVM_ELIMIT);
    free(text);
    json_decref(both[0]);
    json_decref(both[1]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("link");
    TCase *c = tcase_create("frames");
    tcase_add_test(c, frames_come_byte_by_byte);
    tcase_add_test(c, frames_of_all_sizes_come_whole);
    tcase_add_test(c, frames_that_break_a_rule_are_none);
    suite_add_tcase(suite, c);
    c = tcase_create("host");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, what_cannot_be_started_is_said);
    tcase_add_test(c, low_descriptors_are_moved_out_of_the_way);
    tcase_add_test(c, what_is_not_read_is_limited);
    tcase_add_test(c, a_packet_that_is_too_large_is_no_frame);
    tcase_add_test(c, what_does_not_come_up_says_why);
    tcase_add_test(c, a_runner_ends_where_its_host_breaks_a_rule);
    tcase_add_test(c, a_runner_is_for_the_host_alone);
    suite_add_tcase(suite, c);
    c = tcase_create("same");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, a_process_does_the_same_under_the_virtual_clock);
    tcase_add_test(c, a_process_does_the_same_on_a_loop);
    tcase_add_test(c, models_are_asked_across_the_link);
    tcase_add_test(c, a_row_is_written_once);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
