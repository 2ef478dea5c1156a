/* journal_test.c - what a run leaves in out/<id>/. */
#include "host/journal.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

struct place {
    char base[64];
    struct dora__journal journal;
};

static const struct dora__journal_run run = {
    .id = "0190-id",
    .file = "a \"b\".yml",
    .started_ns = INT64_C(1795346110250999999),
    .layout = 7,
    .control_fd = 5,
};

static int
set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);

    assert_non_null(place);
    (void)snprintf(place->base, sizeof place->base, "/tmp/dora-journal-XXXXXX");
    assert_non_null(mkdtemp(place->base));
    *state = place;
    return 0;
}

static int
tear_down(void **state)
{
    struct place *place = *state;
    DORA_AUTOFREE char *command = dora__format("rm -r %s", place->base);

    assert_int_equal(system(command), 0);
    dora__journal_fini(&place->journal);
    free(place);
    return 0;
}

static void
expect_file(const char *directory, const char *name, const char *text)
{
    DORA_AUTOFREE char *path = dora__format("%s/%s", directory, name);
    char found[4096];
    FILE *file = fopen(path, "r");
    size_t size;

    if (file == NULL)
        fail_msg("%s is missing", path);
    size = fread(found, 1, sizeof found - 1, file);
    (void)fclose(file);
    found[size] = 0;
    assert_string_equal(found, text);
}

static void
open_journal(struct place *place)
{
    struct dora_error err;

    assert_int_equal(
        dora__journal_open(place->base, &run, &place->journal, &err), 0);
}

static struct dora__journal_line
line(const char *text, size_t size)
{
    return (struct dora__journal_line){.time_ns = run.started_ns,
                                       .level = DORA_LEVEL_STDOUT,
                                       .stream = DORA_STREAM_STDERR,
                                       .node = "n",
                                       .text = text,
                                       .text_size = size};
}

static void
test_journal_directory_says_who_runs(void **state)
{
    struct place *place = *state;
    DORA_AUTOFREE char *out = dora__format("%s/out", place->base);
    DORA_AUTOFREE char *text = dora__format(
        "{\"id\":\"0190-id\",\"file\":\"a \\\"b\\\".yml\",\"pid\":%d,"
        "\"started\":\"2026-11-22T11:15:10.250Z\",\"layout\":7,"
        "\"control_fd\":5,\"version\":\"" DORA_VERSION "\"}\n",
        (int)getpid());

    open_journal(place);
    expect_file(out, ".gitignore", "*\n");
    expect_file(place->journal.directory, "run.json", text);
}

static void
test_journal_leaves_a_gitignore_alone(void **state)
{
    struct place *place = *state;
    DORA_AUTOFREE char *out = dora__format("%s/out", place->base);
    DORA_AUTOFREE char *path = dora__format("%s/.gitignore", out);
    FILE *file;

    assert_int_equal(mkdir(out, 0777), 0);
    file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs("mine\n", file);
    (void)fclose(file);
    open_journal(place);
    expect_file(out, ".gitignore", "mine\n");
}

static void
test_journal_that_cannot_be_written_says_so(void **state)
{
    struct place *place = *state;
    DORA_AUTOFREE char *base = dora__format("%s/absent", place->base);
    struct dora_error err;

    assert_int_equal(dora__journal_open(base, &run, &place->journal, &err),
                     -ENOENT);
    assert_non_null(strstr(err.text, base));
    assert_null(place->journal.directory);
}

static void
test_journal_lines_have_all_keys(void **state)
{
    struct place *place = *state;
    struct dora__journal_file file = DORA__JOURNAL_FILE_NONE;
    struct dora__journal_line one = line("a\0\"\xff", 4), two = line("", 0);
    struct dora_error err;

    open_journal(place);
    assert_int_equal(
        dora__journal_file_open(&place->journal, "n", 0, 0, &file, &err), 0);
    two.level = DORA_LEVEL_WARN;
    two.stream = DORA_STREAM_STDOUT;
    two.target = "t";
    two.fields = "{\"k\":1}";
    two.fields_size = 7;
    assert_false(dora__journal_add(&file, &one));
    assert_false(dora__journal_add(&file, &two));
    expect_file(place->journal.directory, "log_n.jsonl", "");
    assert_int_equal(dora__journal_flush(&file), 0);
    expect_file(place->journal.directory, "log_n.jsonl",
                "{\"ts\":\"2026-11-22T11:15:10.250Z\",\"level\":\"stdout\","
                "\"node\":\"n\",\"stream\":\"stderr\","
                "\"msg\":\"a\\u0000\\\"\xef\xbf\xbd\","
                "\"target\":null,\"fields\":null}\n"
                "{\"ts\":\"2026-11-22T11:15:10.250Z\",\"level\":\"warn\","
                "\"node\":\"n\",\"stream\":\"stdout\",\"msg\":\"\","
                "\"target\":\"t\",\"fields\":{\"k\":1}}\n");
    dora__journal_file_close(&file);
}

static size_t
count_lines(const char *directory, const char *name)
{
    DORA_AUTOFREE char *path = dora__format("%s/%s", directory, name);
    FILE *file = fopen(path, "r");
    size_t lines = 0;
    int c, last = '\n';

    if (file == NULL)
        return 0;
    while ((c = fgetc(file)) != EOF) {
        lines += c == '\n';
        last = c;
    }
    assert_int_equal(last, '\n'); /* files turn over between lines */
    (void)fclose(file);
    return lines;
}

static void
test_journal_files_turn_over_between_lines(void **state)
{
    struct place *place = *state;
    struct dora__journal_file file = DORA__JOURNAL_FILE_NONE;
    struct dora__journal_line one = line("0123456789", 10);
    const char *directory;
    struct dora_error err;

    open_journal(place);
    directory = place->journal.directory;
    assert_int_equal(
        dora__journal_file_open(&place->journal, "n", 1000, 2, &file, &err), 0);
    for (int i = 0; i < 100; i++)
        (void)dora__journal_add(&file, &one);
    dora__journal_file_close(&file);
    assert_int_equal(count_lines(directory, "log_n.jsonl"),
                     100 % count_lines(directory, "log_n.1.jsonl"));
    assert_int_equal(count_lines(directory, "log_n.1.jsonl"),
                     count_lines(directory, "log_n.2.jsonl"));
    assert_int_equal(count_lines(directory, "log_n.3.jsonl"), 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_journal_directory_says_who_runs),
        TEST(test_journal_leaves_a_gitignore_alone),
        TEST(test_journal_that_cannot_be_written_says_so),
        TEST(test_journal_lines_have_all_keys),
        TEST(test_journal_files_turn_over_between_lines),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
