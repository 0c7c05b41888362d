/* Who runs next: one run queue per (class, component); strict between classes but for ageing, deficit round robin
 * between components of a class. Only heads of lanes and ephemeral messages stand in run queues. */
#include "core/internal.h"

#include "core/broken.h"

#include <assert.h>

static void activate(struct core *core, struct component *c, int class)
{
    if (c->active[class])
        return;
    c->active[class] = true;
    c->active_next[class] = NULL;
    if (core->active_tail[class])
        core->active_tail[class]->active_next[class] = c;
    else
        core->active_head[class] = c;
    core->active_tail[class] = c;
}

static void queue_push(struct queue *q, struct message *m)
{
    m->queue_next = NULL;
    m->queue_prev = q->tail;
    if (q->tail)
        q->tail->queue_next = m;
    else
        q->head = m;
    q->tail = m;
}

static bool has_place(const struct component *c)
{
    return !c->now->concurrency || (int64_t)c->counts.lent + c->called + c->away < c->now->concurrency;
}

static struct message *queue_pop(struct queue *q)
{
    struct message *m = q->head;
    q->head = m->queue_next;
    if (q->head)
        q->head->queue_prev = NULL;
    else
        q->tail = NULL;
    return m;
}

static void queue_remove(struct queue *q, struct message *m)
{
    if (m->queue_prev)
        m->queue_prev->queue_next = m->queue_next;
    else
        q->head = m->queue_next;
    if (m->queue_next)
        m->queue_next->queue_prev = m->queue_prev;
    else
        q->tail = m->queue_prev;
}

void schedule(struct core *core, struct message *m)
{
    struct component *c = m->to;
    m->eligible_ms = core->now_ms;
    m->place = PLACE_RUN;
    queue_push(&c->run[m->class], m);
    activate(core, c, m->class);
    core->follow = m;
    if (core->runnable++ == 0)
        kick(core);
}

void post(struct core *core, struct message *m)
{
    struct component *c = m->to;
    if (__builtin_expect(core->replay != NULL, 0)) {
        item_release(core, &m->item); /* what it led to was recorded as well */
        return;
    }
    if (__builtin_expect(c->absent, 0) && m->conversation && removal_park(core, m))
        return;
    c->counts.delivered++;
    c->counts.queued++;
    core->bytes_queued += m->weight;
    if (m->conversation) {
        lane_append(core, m);
    } else {
        m->class = m->pub.priority;
        schedule(core, m);
    }
}

/* A higher class for a message that stands in a run queue. */
void schedule_lift(struct core *core, struct message *m, uint8_t class)
{
    struct component *c = m->to;
    if (m->place != PLACE_RUN || m->class >= class)
        return;
    queue_remove(&c->run[m->class], m);
    m->class = class;
    queue_push(&c->run[class], m);
    activate(core, c, class);
}

/* A lane that has waited a second stands in the next higher class. */
static void age(struct core *core)
{
    core->aged_ms = core->now_ms;
    for (int class = CORE_CLASSES - 2; class >= 0; class --) {
        for (struct component *c = core->active_head[class]; c; c = c->active_next[class]) {
            while (c->run[class].head && core->now_ms - c->run[class].head->eligible_ms >= CORE_AGE_MS) {
                struct message *m = queue_pop(&c->run[class]);
                m->class = (uint8_t)(class + 1);
                m->eligible_ms = core->now_ms;
                queue_push(&c->run[class + 1], m);
                activate(core, c, class + 1);
            }
        }
    }
}

/* Places are free again: those that waited longest become eligible. Each keeps its place until its turn is over. */
void schedule_place_freed(struct core *core, struct component *c)
{
    while (c->waiting.head && has_place(c)) {
        struct message *m = queue_pop(&c->waiting);
        m->called = true;
        c->called++;
        m->class = m->pub.priority;
        schedule(core, m);
    }
}

/* Its request ended while it waited: it needs no place, only to be dropped. */
void schedule_drop(struct core *core, struct message *m)
{
    if (m->place != PLACE_WAITING)
        return;
    queue_remove(&m->to->waiting, m);
    m->class = m->pub.priority;
    schedule(core, m);
}

/* What was kept while the component was out of service: one as the probe, or all, in the order in which it came. */
void schedule_kept(struct core *core, struct component *c, bool all)
{
    while (c->kept.head) {
        struct message *m = queue_pop(&c->kept);
        m->class = m->pub.priority;
        schedule(core, m);
        if (!all)
            break;
    }
}

/* Out of the queue in which it stands outside its lane. */
void schedule_take(struct core *core, struct message *m, struct queue *q, bool waiting)
{
    queue_remove(q, m);
    if (core->follow == m)
        core->follow = NULL;
    if (!waiting)
        core->runnable--;
    if (m->called) {
        m->called = false;
        m->to->called--;
    }
}

/* Out of the run queue of its class and recipient. */
void schedule_unrun(struct core *core, struct message *m)
{
    queue_remove(&m->to->run[m->class], m);
    if (core->follow == m)
        core->follow = NULL;
    core->runnable--;
    m->place = PLACE_NONE;
}

static void step_aside(struct core *core, struct queue *q, struct message *m)
{
    m->place = PLACE_WAITING;
    queue_push(q, m);
    if (m->conversation && m->conversation->head == m) {
        m->outside = true;
        lane_resume(core, m->conversation);
    }
}

/* Beyond the component's concurrency a request waits, and while the component is down what is no request; outside its
 * lane, so that what others are sent there passes: the replies it depends on, or the end of a request. */
static bool must_wait(struct core *core, struct message *m)
{
    struct component *c = m->to;
    if (!m->request) {
        if (!c->down || core->now_ms >= c->probe_ms)
            return false;
        step_aside(core, &c->kept, m);
        return true;
    }
    if (m->called) {
        m->called = false;
        c->called--;
        return false;
    }
    if (has_place(c) || m->request->ended || m->route == ROUTE_STATE_EDIT)
        return false;
    step_aside(core, &c->waiting, m);
    return true;
}

static struct message *next(struct core *core, int class)
{
    struct component *c;
    while ((c = core->active_head[class])) {
        if (c->run[class].head)
            return queue_pop(&c->run[class]);
        core->active_head[class] = c->active_next[class];
        if (!core->active_head[class])
            core->active_tail[class] = NULL;
        c->active[class] = false;
    }
    return NULL;
}

static bool any_above(const struct core *core, int class)
{
    for (int above = CORE_CLASSES - 1; above > class; above--)
        for (const struct component *c = core->active_head[above]; c; c = c->active_next[above])
            if (c->run[above].head)
                return true;
    return false;
}

/* What is begun is ended before something else of its class begins: the last message that a turn made eligible, which
 * is that of its own lane where there is one, comes next, until the quantum is over. So what belongs together falls
 * into few groups of the journal; on average nobody waits longer for it. */
static struct message *followed(struct core *core, int class)
{
    struct message *m = core->follow;
    if (!m || m->class < class || any_above(core, m->class))
        return NULL;
    queue_remove(&m->to->run[m->class], m);
    return m;
}

static void rotate(struct core *core, int class)
{
    struct component *c = core->active_head[class];
    if (!c || !c->active_next[class] || BROKEN(no_rotation))
        return;
    core->active_head[class] = c->active_next[class];
    c->active_next[class] = NULL;
    core->active_tail[class]->active_next[class] = c;
    core->active_tail[class] = c;
}

bool schedule_run(struct core *core, int64_t budget_us)
{
    /* Under the virtual clock a slice is counted, not timed: the order of turns must not depend on the machine. */
    int64_t end_ns = core->options.loop ? clock_ns() + budget_us * 1000 : 0;
    /* Slow turns end a slice before its clock is looked at; the coarse time of a turn's start is known anyway. */
    int64_t slow_ns = core->options.loop ? clock_coarse_ns() + 2 * budget_us * 1000 : INT64_MAX;
    uint32_t run = 0, turns = core->options.loop ? UINT32_MAX : core->slice;
    int class = CORE_CLASSES; /* of the turn before */
    if (core->now_ms - core->aged_ms >= CORE_AGE_MS / 4)
        age(core);
    while (core->runnable) {
        struct message *m = followed(core, class);
        class = m ? m->class : CORE_CLASSES - 1;
        while (!m && class >= 0 && !(m = next(core, class)))
            class --;
        assert(m);
        core->follow = NULL;
        core->runnable--;
        m->place = PLACE_NONE;
        if (must_wait(core, m))
            continue;
        turn_run(core, m);
        run++;
        if (core->page->turn_started_ns >= slow_ns) {
            rotate(core, class);
            break;
        }
        if (run % CORE_QUANTUM == 0) {
            rotate(core, class);
            class = CORE_CLASSES;
            if (core->options.loop && clock_ns() >= end_ns)
                break;
        }
        if (run == turns)
            break;
    }
    atomic_fetch_add_explicit(&core->page->iterations, 1, memory_order_relaxed);
    return core->runnable > 0;
}
