/* print_words.c - what nodes wrote to standard error at last, for the failure
 * block: a node that failed has usually said why. And what the runtime said of
 * them at last, which is how they ended.
 *
 * Of each node at most KEPT lines are kept, each cut to LINE_LIMIT bytes. */
#include "print.h"

#include <pthread.h>
#include <string.h>

enum { KEPT = 500, SHOWN = 10, LINE_LIMIT = 2000 };

struct voice {
    struct voice *next;
    char *node;
    char *lines[KEPT]; /* a ring: line k is lines[k % KEPT] */
    size_t count;      /* ever */
    char *verdict;     /* by the runtime, or NULL */
};

struct words {
    pthread_mutex_t lock;
    struct voice *voices;
};

int
words_new(struct words **ret_words)
{
    struct words *words = calloc(1, sizeof *words);

    if (!words)
        return -ENOMEM;
    (void)pthread_mutex_init(&words->lock, NULL);
    *ret_words = words;
    return 0;
}

void
words_free(struct words *words)
{
    struct voice *voice, *next;

    if (!words)
        return;
    for (voice = words->voices; voice; voice = next) {
        next = voice->next;
        for (size_t i = 0; i < KEPT; i++)
            free(voice->lines[i]);
        free(voice->verdict);
        free(voice->node);
        free(voice);
    }
    (void)pthread_mutex_destroy(&words->lock);
    free(words);
}

static struct voice *
find_voice(const struct words *words, const char *node)
{
    for (struct voice *v = words->voices; v; v = v->next)
        if (!strcmp(v->node, node))
            return v;
    return NULL;
}

static struct voice *
add_voice(struct words *words, const char *node)
{
    struct voice *voice = calloc(1, sizeof *voice);

    if (!voice)
        return NULL;
    voice->node = strdup(node);
    if (!voice->node) {
        free(voice);
        return NULL;
    }
    voice->next = words->voices;
    words->voices = voice;
    return voice;
}

/* Where the line is to be kept: NULL if it tells nothing. */
static char **
place_for(struct words *words, const struct dora_log_record *record)
{
    bool verdict = record->stream == DORA_STREAM_HOST;
    struct voice *voice;

    if (!record->node || record->stream == DORA_STREAM_STDOUT ||
        (verdict && record->level != DORA_LEVEL_ERROR))
        return NULL;
    voice = find_voice(words, record->node);
    if (!voice)
        voice = add_voice(words, record->node);
    if (!voice)
        return NULL;
    return verdict ? &voice->verdict : &voice->lines[voice->count++ % KEPT];
}

void
words_hear(struct words *words, const struct dora_log_record *record)
{
    bool cut = record->text_size > LINE_LIMIT;
    char **line;

    (void)pthread_mutex_lock(&words->lock);
    line = place_for(words, record);
    if (line) {
        free(*line);
        *line =
            dora__format("%.*s%s", cut ? LINE_LIMIT : (int)record->text_size,
                         record->text, cut ? " [cut]" : "");
    }
    (void)pthread_mutex_unlock(&words->lock);
}

const char *
words_verdict(const struct words *words, const char *node)
{
    const struct voice *voice = find_voice(words, node);

    return voice ? voice->verdict : NULL;
}

/* --- what tells most ------------------------------------------------------ */

static const char *
line_at(const struct voice *voice, size_t number)
{
    const char *line = voice->lines[number % KEPT];

    return line ? line : "";
}

static bool
starts_traceback(const char *line)
{
    return strstr(line, "Traceback (most recent call last)") != NULL;
}

/* A line that begins a complaint by itself. */
static bool
starts_error(const char *line)
{
    static const char *const begins[] = {"Error", "ERROR", "error:", "Fatal",
                                         "fatal", "FATAL", "panic"};

    for (size_t i = 0; i < DORA_COUNT(begins); i++)
        if (!strncmp(line, begins[i], strlen(begins[i])))
            return true;
    return strstr(line, "panicked at") != NULL;
}

/* "During handling of the above exception, ...": the traceback above belongs
 * to the one below. */
static bool
links_tracebacks(const char *line)
{
    return !strncmp(line, "During handling of the above exception", 38) ||
           !strncmp(line, "The above exception was the direct cause", 40);
}

/* The last line in [first, end) that `starts`, or `end`. */
static size_t
find_last(const struct voice *voice, size_t first, size_t end,
          bool (*starts)(const char *))
{
    for (size_t i = end; i > first; i--)
        if (starts(line_at(voice, i - 1)))
            return i - 1;
    return end;
}

/* Whether the traceback at `start` goes on up to line `end`. */
static bool
reaches(const struct voice *voice, size_t start, size_t end)
{
    for (size_t i = start + 1; i < end; i++)
        if (*line_at(voice, i) != ' ')
            return false;
    return true;
}

/* Up through the tracebacks that this one was caused by. */
static size_t
first_of_chain(const struct voice *voice, size_t first, size_t at)
{
    size_t above;

    while (at >= first + 2 && links_tracebacks(line_at(voice, at - 2))) {
        above = find_last(voice, first, at - 2, starts_traceback);
        if (above == at - 2)
            break;
        at = above;
    }
    return at;
}

static size_t
find_start(const struct voice *voice, size_t first, size_t end)
{
    size_t traceback = find_last(voice, first, end, starts_traceback);
    size_t error = find_last(voice, first, end, starts_error);

    if (traceback < end &&
        (error == end || error < traceback || reaches(voice, traceback, error)))
        return first_of_chain(voice, first, traceback);
    if (error < end)
        return error;
    return end - first > SHOWN ? end - SHOWN : first;
}

bool
words_tail(const struct words *words, const char *node, struct dora__text *out)
{
    const struct voice *voice = find_voice(words, node);
    size_t end, first;

    if (!voice || !voice->count)
        return false;
    end = voice->count;
    first = end > KEPT ? end - KEPT : 0;
    for (size_t i = find_start(voice, first, end); i < end; i++)
        dora__text_printf(out, "    %s\n", line_at(voice, i));
    return true;
}
