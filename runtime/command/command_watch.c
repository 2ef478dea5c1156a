/* command_watch.c - what is said while a dataflow runs.
 *
 * Waiting: when the stop takes longer than two seconds, whom it waits for;
 * again after twice the time. (Of the start the library itself says so.)
 *
 * Losses: an edge that drops messages is named at once, then at most every ten
 * seconds with the running total, and no more once it has stopped. Counters are
 * looked at every second while messages move; when none do, ever more rarely,
 * up to once a minute: a dataflow at rest leaves the machine at rest. */
#include "command.h"
#include "print.h"

#include <string.h>

enum { NAMES_SHOWN = 5 };

#define SECOND ((int64_t)1000000000)
#define FIRST_WORD (2 * SECOND)
#define SAY_AGAIN (10 * SECOND)
#define LONGEST_LOOK (60 * SECOND)

struct loss {
    uint64_t said;
    int64_t said_at;
};

struct watch {
    struct dora_dataflow *flow;
    struct screen *screen;
    int64_t since;               /* of the stop */
    int64_t next_word;           /* when to say whom it waits for; 0: not to */
    int64_t next_look, interval; /* at the counters */
    uint64_t moved;              /* all that was ever sent */
    struct loss *losses;         /* one per edge */
};

int
watch_new(struct dora_dataflow *flow, struct screen *screen, int64_t now,
          struct watch **ret_watch)
{
    struct watch *watch = calloc(1, sizeof *watch);
    struct dora_edge_stats stats;
    size_t count = 0;

    while (dora_dataflow_edge_stats(flow, count, &stats) == 0)
        count++;
    if (watch)
        watch->losses = calloc(count + 1, sizeof *watch->losses);
    if (!watch || !watch->losses) {
        free(watch);
        return -ENOMEM;
    }
    watch->flow = flow;
    watch->screen = screen;
    watch->interval = SECOND;
    watch->next_look = now + SECOND;
    *ret_watch = watch;
    return 0;
}

void
watch_free(struct watch *watch)
{
    if (watch)
        free(watch->losses);
    free(watch);
}

void
watch_stopping(struct watch *watch, int64_t now)
{
    watch->since = now;
    watch->next_word = now + FIRST_WORD;
}

/* --- waiting -------------------------------------------------------------- */

/* The names of those that run; returns how many there are. */
static size_t
list_running(const struct watch *watch, struct dora__text *out)
{
    struct dora_node_stats stats;
    size_t count = 0;

    for (size_t i = 0; dora_dataflow_node_stats(watch->flow, i, &stats) == 0;
         i++) {
        if (stats.phase != DORA_NODE_STARTING &&
            stats.phase != DORA_NODE_RUNNING)
            continue;
        if (stats.kind && strcmp(stats.kind, "dynamic") == 0)
            continue; /* stops when it likes */
        if (count++ < NAMES_SHOWN)
            dora__text_printf(out, "%s%s", count > 1 ? ", " : "", stats.id);
    }
    if (count > NAMES_SHOWN)
        dora__text_printf(out, " and %zu more", count - NAMES_SHOWN);
    return count;
}

static void
say_awaited(struct watch *watch, int64_t now)
{
    struct dora__text names = {0};

    if (list_running(watch, &names) > 0 && !names.failed)
        screen_say(watch->screen, "waiting for %s to stop (%lld s)", names.text,
                   (long long)((now - watch->since) / SECOND));
    watch->next_word = now + (now - watch->since);
    free(names.text);
}

/* --- losses --------------------------------------------------------------- */

/* Who has ended takes nothing more, which is no fault of its speed. */
static bool
has_ended(const struct watch *watch, const char *node)
{
    struct dora_node_stats stats;

    for (size_t i = 0; dora_dataflow_node_stats(watch->flow, i, &stats) == 0;
         i++)
        if (strcmp(stats.id, node) == 0)
            return stats.phase == DORA_NODE_ENDED;
    return false;
}

static void
say_loss(struct watch *watch, struct loss *loss,
         const struct dora_edge_stats *stats, int64_t now)
{
    uint64_t lost = stats->dropped + stats->refused;

    if (!stats->from_node || lost == loss->said ||
        (loss->said && now - loss->said_at < SAY_AGAIN))
        return;
    screen_say(
        watch->screen,
        "warning: %s -> %s/%s: %llu of %llu messages dropped: `%s` %s",
        stats->source, stats->to_node, stats->input, (unsigned long long)lost,
        (unsigned long long)(stats->sent + stats->refused), stats->to_node,
        has_ended(watch, stats->to_node) ? "has ended" : "does not keep up");
    loss->said = lost;
    loss->said_at = now;
}

static void
look_at_losses(struct watch *watch, int64_t now)
{
    struct dora_edge_stats stats;
    uint64_t moved = 0;

    for (size_t i = 0; dora_dataflow_edge_stats(watch->flow, i, &stats) == 0;
         i++) {
        moved += stats.sent + stats.refused;
        say_loss(watch, &watch->losses[i], &stats, now);
    }
    if (moved != watch->moved)
        watch->interval = SECOND;
    else if (watch->interval < LONGEST_LOOK)
        watch->interval *= 2;
    watch->moved = moved;
    watch->next_look = now + watch->interval;
}

int64_t
watch_look(struct watch *watch, int64_t now)
{
    if (watch->next_word && now >= watch->next_word)
        say_awaited(watch, now);
    if (now >= watch->next_look)
        look_at_losses(watch, now);
    if (watch->next_word && watch->next_word < watch->next_look)
        return watch->next_word;
    return watch->next_look;
}
