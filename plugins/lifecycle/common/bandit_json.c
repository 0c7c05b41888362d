/* See bandit_json.h. Any thread, one at a time.
 *
 *     {"day": 12, "segments": ["Growth"], "actions": {"SEND_DISCOUNT": [a by rows from the diagonal on (10), b (4), of
 *     each segment its row (4) and right-hand side (1)]}}
 *     {"SEND_DISCOUNT": [n, at risk, critical, fatigue, sum of impacts, day]} */
#include "bandit_json.h"

#include <math.h>
#include <string.h>

#define COMMON_FIGURES (BANDIT_COMMON * (BANDIT_COMMON + 1) / 2 + BANDIT_COMMON)
#define SEGMENT_FIGURES (BANDIT_COMMON + 1)
#define PERSONA_FIGURES (BANDIT_COMMON + 2)
#define MODEL_FIGURES_MAX (COMMON_FIGURES + BANDIT_SEGMENTS_MAX * SEGMENT_FIGURES)
#define DAY_MAX INT64_C(1000000000000)

static json_t *array_of(const double *figures, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++)
        if (json_array_append_new(list, json_real(figures[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

/* False: no array of so many finite numbers. */
static bool figures_of(const json_t *list, size_t n, double *ret_figures)
{
    if (json_array_size(list) != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(list, i);
        ret_figures[i] = json_number_value(one);
        if (!json_is_number(one) || !isfinite(ret_figures[i]))
            return false;
    }
    return true;
}

/* Copies between a model and its figures, in either direction. */
static void move(struct bandit_model *m, int n_segments, double *figures, bool reads)
{
    double *places[MODEL_FIGURES_MAX];
    size_t n = 0;
    for (size_t r = 0; r < BANDIT_COMMON; r++)
        for (size_t c = r; c < BANDIT_COMMON; c++)
            places[n++] = &m->a[r][c];
    for (size_t r = 0; r < BANDIT_COMMON; r++)
        places[n++] = &m->b[r];
    for (int s = 0; s < n_segments; s++) {
        for (size_t c = 0; c < BANDIT_COMMON; c++)
            places[n++] = &m->segment[s][c];
        places[n++] = &m->segment_b[s];
    }
    for (size_t i = 0; i < n; i++)
        if (reads)
            *places[i] = figures[i];
        else
            figures[i] = *places[i];
    for (size_t r = 0; r < BANDIT_COMMON; r++)
        for (size_t c = 0; c < r; c++)
            m->a[r][c] = m->a[c][r];
}

static size_t model_figures(int n_segments)
{
    return COMMON_FIGURES + (size_t)n_segments * SEGMENT_FIGURES;
}

json_t *bandit_json(const struct bandit *b)
{
    json_t *segments = json_array(), *actions = json_object();
    double figures[MODEL_FIGURES_MAX];
    bool whole = segments && actions;
    for (int s = 0; whole && s < b->n_segments; s++)
        whole = json_array_append_new(segments, json_string(b->segments[s])) == 0;
    for (int i = 0; whole && i < b->n_actions; i++) {
        struct bandit_model m = b->models[i];
        move(&m, b->n_segments, figures, false);
        whole = json_object_set_new(actions, m.name, array_of(figures, model_figures(b->n_segments))) == 0;
    }
    json_t *json = json_pack("{s:I, s:o, s:o}", "day", (json_int_t)b->day, "segments", segments, "actions", actions);
    if (whole)
        return json;
    json_decref(json);
    return NULL;
}

bool bandit_read(struct bandit *b, const json_t *json)
{
    const json_t *segments = json_object_get(json, "segments"), *actions = json_object_get(json, "actions"),
                 *day = json_object_get(json, "day");
    double figures[MODEL_FIGURES_MAX];
    const char *name;
    json_t *list;
    struct bandit before = *b;
    if (!json)
        return true;
    bool good = json_is_integer(day) && json_integer_value(day) >= 0 && json_integer_value(day) <= DAY_MAX &&
                json_is_array(segments) && json_is_object(actions);
    for (size_t i = 0; good && i < json_array_size(segments); i++)
        good = json_is_string(json_array_get(segments, i)) &&
               bandit_segment(b, json_string_value(json_array_get(segments, i))) == (int)i;
    if (good)
        json_object_foreach((json_t *)(uintptr_t)actions, name, list)
        {
            int action = good ? bandit_action(b, name) : -1;
            good = good && action >= 0 && figures_of(list, model_figures(b->n_segments), figures);
            if (good)
                move(&b->models[action], b->n_segments, figures, true);
        }
    if (good)
        b->day = json_integer_value(day);
    else
        *b = before;
    return good;
}

json_t *bandit_persona_json(const struct bandit *b, const struct bandit_persona *persona)
{
    json_t *json = json_object();
    for (int i = 0; json && i < b->n_actions; i++) {
        const struct bandit_figures *f = &persona->of[i];
        double figures[PERSONA_FIGURES] = {f->n, f->s[0], f->s[1], f->s[2], f->sy, (double)f->day};
        if (f->n > 0 && json_object_set_new(json, b->models[i].name, array_of(figures, PERSONA_FIGURES)) < 0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}

bool bandit_persona_read(struct bandit *b, const json_t *json, struct bandit_persona *ret_persona)
{
    double figures[PERSONA_FIGURES];
    const char *name;
    json_t *list;
    memset(ret_persona, 0, sizeof *ret_persona);
    bool good = !json || json_is_object(json);
    json_object_foreach((json_t *)(uintptr_t)json, name, list)
    {
        int action = good ? bandit_action(b, name) : -1;
        good = good && action >= 0 && figures_of(list, PERSONA_FIGURES, figures) && figures[0] >= 0 &&
               figures[5] >= 0 && figures[5] <= (double)DAY_MAX;
        if (!good)
            break;
        ret_persona->of[action] = (struct bandit_figures){
            .n = figures[0], .s = {figures[1], figures[2], figures[3]}, .sy = figures[4], .day = (int64_t)figures[5]};
    }
    if (!good)
        memset(ret_persona, 0, sizeof *ret_persona);
    return good;
}
