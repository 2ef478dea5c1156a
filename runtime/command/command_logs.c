/* command_logs.c - `dora-run logs`: what the nodes of a run have printed, from
 * the files it left or is writing.
 *
 *   1. Lines of several nodes come in the order of their times; each node's own
 *      in the order it wrote them, whatever their times say.
 *   2. Following reads what is appended, across files that turn over, and ends
 *      when the process of the run has. */
#include "command.h"
#include "logline.h"
#include "print.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FOLLOW_PACE (100 * 1000000)

/* One file of a node's log. */
struct source {
    char *node;
    unsigned turn; /* 0: the one that is written; the others end */
    FILE *file;
    char *line; /* the next one that is whole, in its buffer; NULL: none now */
    size_t capacity, size; /* of the buffer; of what was read of the line */
    bool whole;
    int64_t time_ns;
};

struct reader {
    const struct command *command;
    char *base;       /* where out/ is */
    const char *file; /* name of the dataflow file; NULL: any */
    char *id;         /* of the run */
    struct source *sources;
    size_t count;
    struct print_look look;
    struct dora__text scratch, text;
};

/* --- which run ------------------------------------------------------------ */

static int
find_base(struct reader *reader)
{
    const char *place = reader->command->file, *name;
    struct stat status;

    if (place == NULL)
        place = ".";
    if (stat(place, &status) == 0 && S_ISDIR(status.st_mode)) {
        reader->base = strdup(place);
        return reader->base == NULL ? -ENOMEM : 0;
    }
    name = strrchr(place, '/');
    reader->file = name == NULL ? place : name + 1;
    reader->base =
        name == NULL ? strdup(".") : strndup(place, (size_t)(name - place + 1));
    return reader->base == NULL ? -ENOMEM : 0;
}

/* The text of out/ID/run.json; NULL: there is none. */
static char *
read_run(const struct reader *reader, const char *id)
{
    DORA_AUTOFREE char *path =
        dora__format("%s/out/%s/run.json", reader->base, id);
    FILE *file = path == NULL ? NULL : fopen(path, "re");
    char *line = NULL;
    size_t capacity = 0;

    if (file == NULL)
        return NULL;
    if (getline(&line, &capacity, file) < 0) {
        free(line);
        line = NULL;
    }
    (void)fclose(file);
    return line;
}

/* Whether run.json names that file: by its last part. */
static bool
is_of_file(const char *run, const char *file)
{
    struct dora__text wanted = {0};
    const char *key = strstr(run, "\"file\":\""), *end;
    bool same = false;

    if (key == NULL)
        return false;
    key += strlen("\"file\":\"");
    end = strstr(key, "\",\"pid\":");
    dora__text_json(&wanted, file, strlen(file));
    if (end != NULL && !wanted.failed && wanted.size >= 2) {
        size_t size = wanted.size - 2; /* without its quotes */

        same =
            (size_t)(end - key) >= size &&
            memcmp(end - size, wanted.text + 1, size) == 0 &&
            ((size_t)(end - key) == size || end[-(ptrdiff_t)size - 1] == '/');
    }
    free(wanted.text);
    return same;
}

/* Ids begin with the time: the greatest is the last. */
static void
consider(struct reader *reader, const char *id)
{
    const char *part = reader->command->run;
    DORA_AUTOFREE char *run = NULL;

    if (id[0] == '.' || (part != NULL && strstr(id, part) == NULL) ||
        (reader->id != NULL && strcmp(id, reader->id) < 0))
        return;
    run = read_run(reader, id);
    if (run == NULL || (reader->file != NULL && !is_of_file(run, reader->file)))
        return;
    free(reader->id);
    reader->id = strdup(id);
}

static int
find_run(struct reader *reader, struct dora_error *err)
{
    DORA_AUTOFREE char *out = dora__format("%s/out", reader->base);
    DIR *directory = out == NULL ? NULL : opendir(out);
    const struct dirent *entry;

    while (directory != NULL && (entry = readdir(directory)) != NULL)
        consider(reader, entry->d_name);
    if (directory != NULL)
        (void)closedir(directory);
    if (reader->id != NULL)
        return 0;
    return dora__fail(err, ENOENT, "no run%s%s%s%s has left logs in %s",
                      reader->command->run ? " with the id " : "",
                      reader->command->run ? reader->command->run : "",
                      reader->file ? " of " : "",
                      reader->file ? reader->file : "", out ? out : "out");
}

/* Whether the process that runs it is still there. */
static bool
is_running(const struct reader *reader)
{
    DORA_AUTOFREE char *run = read_run(reader, reader->id);
    const char *pid = run == NULL ? NULL : strstr(run, ",\"pid\":");

    return pid != NULL &&
           (kill((pid_t)strtol(pid + strlen(",\"pid\":"), NULL, 10), 0) == 0 ||
            errno == EPERM);
}

/* --- its files ------------------------------------------------------------ */

static FILE *
open_log(const struct reader *reader, const char *name)
{
    DORA_AUTOFREE char *path =
        dora__format("%s/out/%s/%s", reader->base, reader->id, name);

    return path == NULL ? NULL : fopen(path, "re");
}

static int
add_source(struct reader *reader, const char *node, unsigned turn,
           const char *name)
{
    struct source *grown =
        realloc(reader->sources, (reader->count + 1) * sizeof *reader->sources);
    FILE *file = open_log(reader, name);

    if (grown == NULL || file == NULL)
        return grown == NULL ? -ENOMEM : 0;
    reader->sources = grown;
    grown[reader->count++] =
        (struct source){.node = strdup(node), .turn = turn, .file = file};
    return 0;
}

/* log_NODE.jsonl, and log_NODE.3.jsonl that was it before. */
static int
take_file(struct reader *reader, const char *name)
{
    const char *only = reader->command->node;
    size_t size = strlen(name);
    DORA_AUTOFREE char *node = NULL;
    unsigned turn = 0;
    char *dot;

    if (strncmp(name, "log_", 4) != 0 || size < 11 ||
        strcmp(name + size - 6, ".jsonl") != 0)
        return 0;
    node = strndup(name + 4, size - 10);
    if (node == NULL)
        return -ENOMEM;
    dot = strrchr(node, '.');
    if (dot != NULL && dot[1] != 0 && !dot[1 + strspn(dot + 1, "0123456789")]) {
        turn = (unsigned)strtoul(dot + 1, NULL, 10);
        *dot = 0; /* of a node that is called so: shown with it */
    }
    if (only != NULL && strcmp(only, node) != 0)
        return 0;
    return add_source(reader, node, turn, name);
}

/* Of equal times those of older files come first. */
static int
by_age(const void *left, const void *right)
{
    const struct source *a = left, *b = right;

    return (a->turn < b->turn) - (a->turn > b->turn);
}

static int
open_sources(struct reader *reader, struct dora_error *err)
{
    DORA_AUTOFREE char *path =
        dora__format("%s/out/%s", reader->base, reader->id);
    DIR *directory = path == NULL ? NULL : opendir(path);
    const struct dirent *entry;
    int code = directory == NULL ? -errno : 0;

    while (code == 0 && (entry = readdir(directory)) != NULL)
        code = take_file(reader, entry->d_name);
    if (directory != NULL)
        (void)closedir(directory);
    if (code < 0)
        return dora__fail(err, -code, "%s: %s", path ? path : "out",
                          strerror(-code));
    if (reader->count > 0)
        qsort(reader->sources, reader->count, sizeof *reader->sources, by_age);
    if (reader->count == 0 && reader->command->node != NULL)
        return dora__fail(err, ENOENT, "run %s has no log of a node `%s`",
                          reader->id, reader->command->node);
    return 0;
}

/* --- lines ---------------------------------------------------------------- */

/* Reads the next line, if the whole of it is there. */
static bool
advance(struct reader *reader, struct source *source)
{
    struct dora_log_record record;
    int c;

    if (source->whole)
        return true;
    clearerr(source->file);
    while ((c = getc_unlocked(source->file)) != EOF) {
        if (source->size + 1 >= source->capacity) {
            size_t capacity = source->capacity ? 2 * source->capacity : 512;
            char *grown = realloc(source->line, capacity);

            if (grown == NULL)
                return false;
            source->line = grown;
            source->capacity = capacity;
        }
        source->line[source->size++] = (char)c;
        if (c != '\n')
            continue;
        if (dora__logline_stored(source->line, source->size - 1,
                                 &reader->scratch, &record)) {
            source->time_ns = record.time_ns;
            source->whole = true;
            return true;
        }
        source->size = 0; /* not of ours */
    }
    return false;
}

static void
show(struct reader *reader, struct source *source)
{
    struct dora_log_record record;

    if (dora__logline_stored(source->line, source->size - 1, &reader->scratch,
                             &record) &&
        record.level <= reader->command->log_level) {
        reader->text.size = 0;
        print_line(&reader->look, &record, &reader->text);
        (void)fwrite(reader->text.text, 1, reader->text.size, stdout);
    }
    source->whole = false;
    source->size = 0;
}

/* All that is there now, oldest first. */
static void
show_all(struct reader *reader)
{
    for (;;) {
        struct source *oldest = NULL;

        for (size_t i = 0; i < reader->count; i++)
            if (advance(reader, &reader->sources[i]) &&
                (oldest == NULL ||
                 reader->sources[i].time_ns < oldest->time_ns))
                oldest = &reader->sources[i];
        if (oldest == NULL)
            break;
        show(reader, oldest);
    }
    (void)fflush(stdout);
}

static bool
is_same(FILE *a, FILE *b)
{
    struct stat one, other;

    return fstat(fileno(a), &one) == 0 && fstat(fileno(b), &other) == 0 &&
           one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/* The file that was begun after the source's; of those that turned over since,
 * it may be any. NULL: the source's is the one that is written. */
static FILE *
next_file(const struct reader *reader, const struct source *source)
{
    FILE *next = NULL;

    for (unsigned turn = 0;; turn++) {
        DORA_AUTOFREE char *name =
            turn == 0 ? dora__format("log_%s.jsonl", source->node)
                      : dora__format("log_%s.%u.jsonl", source->node, turn);
        FILE *file = name == NULL ? NULL : open_log(reader, name);

        if (file == NULL)
            return next;
        if (is_same(file, source->file)) {
            (void)fclose(file);
            return next;
        }
        if (next != NULL)
            (void)fclose(next);
        next = file;
    }
}

static void
turn_over(struct reader *reader, struct source *source)
{
    FILE *next;

    while ((next = next_file(reader, source)) != NULL) {
        show_all(reader); /* nothing is added to it any more */
        (void)fclose(source->file);
        source->file = next;
    }
}

static void
follow(struct reader *reader)
{
    const struct timespec pace = {0, FOLLOW_PACE};
    bool running;

    do {
        running = is_running(reader);
        for (size_t i = 0; i < reader->count; i++)
            if (reader->sources[i].turn == 0)
                turn_over(reader, &reader->sources[i]);
        show_all(reader);
        if (running)
            (void)nanosleep(&pace, NULL);
    } while (running && !ferror(stdout));
}

int
command_logs(const struct command *command)
{
    struct reader reader = {.command = command,
                            .look.colours = print_colours(STDOUT_FILENO)};
    struct dora_error err = {"out of memory"};
    int code = find_base(&reader);

    if (code == 0)
        code = find_run(&reader, &err);
    if (code == 0)
        code = open_sources(&reader, &err);
    if (code < 0)
        (void)fprintf(stderr, "dora-run: logs: %s\n", err.text);
    if (code == 0)
        show_all(&reader);
    if (code == 0 && command->follow)
        follow(&reader);
    for (size_t i = 0; i < reader.count; i++) {
        (void)fclose(reader.sources[i].file);
        free(reader.sources[i].line);
        free(reader.sources[i].node);
    }
    free(reader.sources);
    free(reader.scratch.text);
    free(reader.text.text);
    free(reader.id);
    free(reader.base);
    return code < 0 ? STATUS_FAILED : STATUS_OK;
}
