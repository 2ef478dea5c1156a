/* arrow_test.c - Arrow arrays into a block and out of it again: what comes out
 * is what went in, wherever in its buffers it lay; what contradicts itself is
 * refused, and a block of any bytes is read without leaving it. */
#include "node/arrow.h"

#include "fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 1 << 16 };

/* --- making arrays ------------------------------------------------------- */

/* One field and its buffers; children by address. */
struct column {
    struct ArrowSchema schema;
    struct ArrowArray array;
    const void *buffers[3];
    struct ArrowSchema *schemas[2];
    struct ArrowArray *arrays[2];
};

static void
column(struct column *column, const char *format, int64_t offset,
       int64_t length, const void *validity, const void *one, const void *two)
{
    struct dora__arrow_layout layout;

    memset(column, 0, sizeof *column);
    assert_int_equal(dora__arrow_layout(format, &layout), 0);
    column->buffers[0] = validity;
    column->buffers[1] = one;
    column->buffers[2] = two;
    column->schema.format = format;
    column->schema.name = "name";
    column->schema.flags = ARROW_FLAG_NULLABLE;
    column->schema.children = column->schemas;
    column->array.length = length;
    column->array.offset = offset;
    column->array.null_count = validity != NULL ? -1 : 0;
    column->array.n_buffers = layout.buffers;
    column->array.buffers = column->buffers;
    column->array.children = column->arrays;
}

static void
child(struct column *parent, struct column *child)
{
    parent->schemas[parent->schema.n_children++] = &child->schema;
    parent->arrays[parent->array.n_children++] = &child->array;
}

/* --- there and back ------------------------------------------------------ */

static unsigned released;

static void
count_release(void *owner)
{
    assert_ptr_equal(owner, &released);
    released++;
}

static size_t
pack(struct column *column, unsigned char *block)
{
    struct dora__arrow_size size;
    struct dora_error err = {0};

    assert_int_equal(
        dora__arrow_measure(&column->schema, &column->array, &size, &err), 0);
    assert_true(size.whole <= MOST);
    assert_int_equal(
        dora__arrow_pack(&column->schema, &column->array, &size, block, &err),
        0);
    return size.whole;
}

static struct dora__arrow *
through(struct column *column)
{
    static _Alignas(64) unsigned char block[MOST];
    struct dora__arrow *arrow;

    memset(block, 0xA5, sizeof block);
    assert_int_equal(dora__arrow_open(block, pack(column, block), &released,
                                      count_release, &arrow),
                     0);
    return arrow;
}

static void
refused(struct column *column, int code, const char *words)
{
    struct dora__arrow_size size;
    struct dora_error err = {0};

    assert_int_equal(
        dora__arrow_measure(&column->schema, &column->array, &size, &err),
        code);
    assert_non_null(strstr(err.text, words));
}

static void
test_arrow_numbers_begin_where_the_offset_says(void **state)
{
    static const int32_t numbers[] = {1, 2, 3, 4, 5, 6};
    static const unsigned char validity[] = {0x2D}; /* 1, 3, 4, 6 are there */
    const struct dora__arrow_field *root;
    struct dora__arrow *arrow;
    struct column whole;

    (void)state;
    column(&whole, "i", 1, 4, validity, numbers, NULL);
    arrow = through(&whole);
    root = dora__arrow_root(arrow);
    assert_string_equal(root->format, "i");
    assert_string_equal(root->name, "name");
    assert_int_equal(root->length, 4);
    assert_int_equal(root->null_count, 2);
    assert_memory_equal(root->buffers[1], numbers + 1, 4 * sizeof *numbers);
    assert_int_equal(root->sizes[1], 4 * sizeof *numbers);
    assert_int_equal((uintptr_t)root->buffers[1] % 64, 0);
    assert_false(dora__arrow_valid(root, 0));
    assert_true(dora__arrow_valid(root, 1));
    assert_true(dora__arrow_valid(root, 2));
    assert_false(dora__arrow_valid(root, 3));
    dora__arrow_unref(arrow);

    column(&whole, "i", 2, 2, validity, numbers, NULL); /* both there */
    arrow = through(&whole);
    assert_null(dora__arrow_root(arrow)->buffers[0]);
    assert_int_equal(dora__arrow_root(arrow)->null_count, 0);
    dora__arrow_unref(arrow);
}

/* At every offset, and for every length up to a few bytes. */
static void
test_arrow_bits_are_shifted(void **state)
{
    static const unsigned char bits[] = {0x5A, 0xC3, 0x0F, 0x99};

    (void)state;
    for (int64_t offset = 0; offset < 16; offset++)
        for (int64_t length = 0; length <= 16; length++) {
            struct column whole;
            struct dora__arrow *arrow;
            const unsigned char *out;

            column(&whole, "b", offset, length, NULL, bits, NULL);
            arrow = through(&whole);
            out = dora__arrow_root(arrow)->buffers[1];
            for (int64_t i = 0; i < length; i++)
                assert_int_equal(out[i / 8] >> (i % 8) & 1,
                                 bits[(offset + i) / 8] >> ((offset + i) % 8) &
                                     1);
            dora__arrow_unref(arrow);
        }
}

static void
test_arrow_texts_lose_what_lies_before_and_behind(void **state)
{
    static const int32_t places[] = {0, 3, 5, 5, 9};
    const struct dora__arrow_field *root;
    struct dora__arrow *arrow;
    struct column whole;
    int64_t from, to;

    (void)state;
    column(&whole, "u", 1, 2, NULL, places, "onetwfour");
    arrow = through(&whole);
    root = dora__arrow_root(arrow);
    assert_int_equal(root->sizes[2], 2);
    assert_memory_equal(root->buffers[2], "tw", 2);
    dora__arrow_places(root, 0, &from, &to);
    assert_int_equal(from, 0);
    assert_int_equal(to, 2);
    dora__arrow_places(root, 1, &from, &to);
    assert_int_equal(from, 2);
    assert_int_equal(to, 2);
    dora__arrow_unref(arrow);

    column(&whole, "u", 0, 0, NULL, NULL, NULL); /* as some make empty ones */
    arrow = through(&whole);
    assert_int_equal(dora__arrow_root(arrow)->length, 0);
    dora__arrow_unref(arrow);
}

/* struct<list<int64>, fixed_size_list[2]<int64>>, sliced at each level. */
static void
test_arrow_children_go_with_their_parent(void **state)
{
    static const int64_t numbers[] = {10, 11, 12, 13, 14, 15, 16, 17};
    static const int32_t places[] = {0, 1, 3, 3, 6};
    const struct dora__arrow_field *lists, *pairs;
    struct column root, list, pair, items, more;
    struct dora__arrow *arrow;
    int64_t from, to;

    (void)state;
    column(&items, "l", 1, 7, NULL, numbers, NULL);
    column(&list, "+l", 0, 4, NULL, places, NULL);
    child(&list, &items);
    column(&more, "l", 0, 8, NULL, numbers, NULL);
    column(&pair, "+w:2", 1, 3, NULL, NULL, NULL);
    child(&pair, &more);
    column(&root, "+s", 1, 2, NULL, NULL, NULL);
    child(&root, &list);
    child(&root, &pair);
    arrow = through(&root);
    assert_int_equal(dora__arrow_root(arrow)->child_count, 2);
    lists = dora__arrow_root(arrow)->children;
    assert_int_equal(lists->length, 2);
    dora__arrow_places(lists, 0, &from, &to);
    assert_int_equal(to - from, 2);
    assert_int_equal(((const int64_t *)lists->children->buffers[1])[from], 12);
    dora__arrow_places(lists, 1, &from, &to);
    assert_int_equal(to - from, 0);
    pairs = lists->next;
    dora__arrow_places(pairs, 0, &from, &to);
    assert_int_equal(((const int64_t *)pairs->children->buffers[1])[from], 14);
    assert_int_equal(to - from, 2);
    dora__arrow_unref(arrow);
}

static void
test_arrow_words_travel(void **state)
{
    static const char metadata[] = "\2\0\0\0\1\0\0\0k\3\0\0\0one\0\0\0\0\0\0\0";
    static const int32_t places[] = {0, 1, 2};
    static const signed char indices[] = {1, 0, 1};
    const struct dora__arrow_field *root;
    struct dora__arrow *arrow;
    struct column whole, words;

    (void)state;
    column(&words, "u", 0, 2, NULL, places, "ab");
    column(&whole, "c", 0, 3, NULL, indices, NULL);
    whole.schema.metadata = metadata;
    whole.schema.dictionary = &words.schema;
    whole.array.dictionary = &words.array;
    arrow = through(&whole);
    root = dora__arrow_root(arrow);
    assert_memory_equal(root->metadata, metadata, sizeof metadata - 1);
    assert_string_equal(root->dictionary->format, "u");
    assert_int_equal(root->dictionary->length, 2);
    dora__arrow_unref(arrow);
}

/* --- for others ---------------------------------------------------------- */

/* A child that was moved out of its parent keeps the memory. */
static void
test_arrow_exported_children_live_by_themselves(void **state)
{
    static const int64_t numbers[] = {1, 2, 3};
    struct ArrowSchema schema, moved_schema;
    struct ArrowArray array, moved;
    struct dora__arrow *arrow;
    struct column root, items;

    (void)state;
    column(&items, "l", 0, 3, NULL, numbers, NULL);
    column(&root, "+s", 0, 3, NULL, NULL, NULL);
    child(&root, &items);
    released = 0;
    arrow = through(&root);
    assert_int_equal(
        dora__arrow_export_schema(arrow, dora__arrow_root(arrow), &schema), 0);
    assert_int_equal(
        dora__arrow_export_array(arrow, dora__arrow_root(arrow), 1, 2, &array),
        0);
    dora__arrow_unref(arrow);
    assert_int_equal(array.offset, 1);
    assert_int_equal(array.length, 2);
    assert_int_equal(array.n_buffers, 1);
    moved = *array.children[0];
    array.children[0]->release = NULL;
    moved_schema = *schema.children[0];
    schema.children[0]->release = NULL;
    array.release(&array);
    schema.release(&schema);
    assert_null(array.release);
    assert_null(schema.release);
    assert_int_equal(released, 0);
    assert_string_equal(moved_schema.format, "l");
    assert_memory_equal(moved.buffers[1], numbers, sizeof numbers);
    moved_schema.release(&moved_schema);
    moved.release(&moved);
    assert_int_equal(released, 1);
}

static void
test_arrow_without_memory(void **state)
{
    static _Alignas(64) unsigned char block[MOST];
    static const int64_t numbers[] = {1, 2, 3};
    struct column root, items;
    size_t size;
    bool failed = true;
    int r;

    (void)state;
    column(&items, "l", 0, 3, NULL, numbers, NULL);
    column(&root, "+s", 0, 3, NULL, NULL, NULL);
    child(&root, &items);
    size = pack(&root, block);
    for (unsigned n = 1; failed; n++) {
        struct dora__arrow *arrow = NULL;
        struct ArrowSchema schema = {0};
        struct ArrowArray array = {0};

        released = 0;
        fault_arm(FAULT_MEMORY, n);
        r = dora__arrow_open(block, size, &released, count_release, &arrow);
        if (r == 0)
            r = dora__arrow_export_schema(arrow, dora__arrow_root(arrow),
                                          &schema);
        if (r == 0)
            r = dora__arrow_export_array(arrow, dora__arrow_root(arrow), 0, 3,
                                         &array);
        failed = fault_disarm();
        assert_int_equal(r, failed ? -ENOMEM : 0);
        if (schema.release != NULL)
            schema.release(&schema);
        if (array.release != NULL)
            array.release(&array);
        dora__arrow_unref(arrow);
        assert_int_equal(released, arrow != NULL);
    }
}

/* --- what is refused ----------------------------------------------------- */

static void
test_arrow_formats(void **state)
{
    static const char *const unknown[] = {
        "",    "x",   "vu", "vz",  "+us:0,1", "+ud:0",
        "+r",  "+vl", "ll", "w:",  "w:x",     "w:-1",
        "+w:", "+",   "t",  "tdx", "w:9e9",   "+w:99999999999"};
    struct dora__arrow_layout layout;

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(unknown); i++)
        assert_int_equal(dora__arrow_layout(unknown[i], &layout), -ENOTSUP);
    assert_int_equal(dora__arrow_layout("d:38,2", &layout), 0);
    assert_int_equal(layout.width, 16);
    assert_int_equal(dora__arrow_layout("d:76,2,256", &layout), 0);
    assert_int_equal(layout.width, 32);
    assert_int_equal(dora__arrow_layout("tsu:Europe/Berlin", &layout), 0);
    assert_int_equal(layout.width, 8);
}

static void
test_arrow_contradictions_are_refused(void **state)
{
    static const int32_t backwards[] = {5, 1}, below[] = {-1, 1},
                         far[] = {0, 9};
    static const int64_t numbers[] = {1, 2};
    struct column whole, items;

    (void)state;
    column(&whole, "u", 0, 1, NULL, backwards, "abcdef");
    refused(&whole, -EINVAL, "places run backwards");
    column(&whole, "u", 0, 1, NULL, below, "abcdef");
    refused(&whole, -EINVAL, "places run backwards");
    column(&whole, "l", 0, 2, NULL, NULL, NULL);
    refused(&whole, -EINVAL, "a buffer is missing");
    column(&whole, "u", 0, 1, NULL, NULL, NULL);
    refused(&whole, -EINVAL, "a buffer is missing");
    column(&whole, "l", -1, 2, NULL, numbers, NULL);
    refused(&whole, -EINVAL, "the length");
    column(&whole, "+l", 0, 1, NULL, far, NULL);
    refused(&whole, -EINVAL, "children");
    column(&items, "l", 0, 2, NULL, numbers, NULL);
    child(&whole, &items);
    refused(&whole, -EINVAL, "the length");
    column(&whole, "l", 0, 2, NULL, numbers, NULL);
    child(&whole, &items);
    refused(&whole, -EINVAL, "children");
    column(&whole, "l", 0, 2, NULL, numbers, NULL);
    whole.schema.format = "vu";
    refused(&whole, -ENOTSUP, "'vu'");
}

static void
test_arrow_too_deep(void **state)
{
    static struct column levels[DORA__ARROW_DEPTH + 1];

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(levels); i++) {
        column(&levels[i], "+s", 0, 0, NULL, NULL, NULL);
        if (i > 0)
            child(&levels[i - 1], &levels[i]);
    }
    refused(&levels[0], -EMSGSIZE, "levels");
    dora__arrow_unref(through(&levels[1]));
}

/* Another thread lengthens a text between measuring and writing. */
static void
test_arrow_writing_stays_in_its_room(void **state)
{
    static _Alignas(64) unsigned char block[MOST];
    char text[4096] = {0};
    int32_t places[] = {0, 10};
    struct dora__arrow_size size;
    struct dora_error err = {0};
    struct column whole;

    (void)state;
    column(&whole, "u", 0, 1, NULL, places, text);
    assert_int_equal(
        dora__arrow_measure(&whole.schema, &whole.array, &size, &err), 0);
    places[1] = sizeof text;
    memset(block, 0xA5, sizeof block);
    assert_int_equal(
        dora__arrow_pack(&whole.schema, &whole.array, &size, block, &err),
        -EINVAL);
    for (size_t i = size.whole; i < sizeof block; i++)
        assert_int_equal(block[i], 0xA5);
}

/* The ends say nothing of what lies between. */
static void
test_arrow_places_between_are_looked_at(void **state)
{
    static _Alignas(64) unsigned char block[MOST];
    int32_t places[] = {0, 2, 3, 5}, *packed;
    struct dora__arrow_size size;
    struct dora__arrow *arrow;
    struct dora_error err = {0};
    struct column whole;

    (void)state;
    column(&whole, "u", 0, 3, NULL, places, "abcde");
    size.whole = pack(&whole, block);
    assert_int_equal(
        dora__arrow_open(block, size.whole, &released, count_release, &arrow),
        0);
    packed = (int32_t *)(uintptr_t)dora__arrow_root(arrow)->buffers[1];
    dora__arrow_unref(arrow);
    packed[1] = 4; /* shared memory: anybody's accident */
    assert_int_equal(
        dora__arrow_open(block, size.whole, &released, count_release, &arrow),
        -EBADMSG);
    places[1] = 4;
    assert_int_equal(
        dora__arrow_measure(&whole.schema, &whole.array, &size, &err), 0);
    assert_int_equal(
        dora__arrow_pack(&whole.schema, &whole.array, &size, block, &err),
        -EINVAL);
}

/* A schema's metadata is as long as it says inside itself. */
static void
test_arrow_metadata_ends_where_it_says(void **state)
{
    static const char good[] = "\1\0\0\0\1\0\0\0k\2\0\0\0vv";
    size_t size = sizeof good - 1;

    (void)state;
    assert_int_equal(dora__arrow_metadata_size(good, SIZE_MAX), size);
    for (size_t room = 0; room < size; room++)
        assert_int_equal(dora__arrow_metadata_size(good, room), 0);
    assert_int_equal(dora__arrow_metadata_size("\1\0\0\0\377\377\377\377", 8),
                     0);
}

/* --- blocks of any bytes ------------------------------------------------- */

static void
look_at(const struct dora__arrow_field *field)
{
    int64_t from, to, sum = 0;

    for (int64_t i = 0; i < field->length && i < 100; i++) {
        sum += dora__arrow_valid(field, i);
        if (field->layout.kind == DORA__ARROW_FIXED && field->layout.width > 0)
            sum +=
                ((const unsigned char *)field
                     ->buffers[1])[(size_t)(i + 1) * field->layout.width - 1];
        if (field->layout.kind == DORA__ARROW_TEXT32) {
            dora__arrow_places(field, i, &from, &to);
            for (; from < to; from++)
                sum += ((const unsigned char *)field->buffers[2])[from];
        }
        if (field->layout.kind == DORA__ARROW_LIST32) {
            dora__arrow_places(field, i, &from, &to);
            assert_true(from <= to && to <= field->children->length);
        }
    }
    assert_true(sum >= 0);
    for (const struct dora__arrow_field *c = field->children; c != NULL;
         c = c->next)
        look_at(c);
}

/* In memory of just that size, so that a sanitizer sees a step outside. */
static bool
try_block(const unsigned char *bytes, size_t size)
{
    unsigned char *copy = malloc(size > 0 ? size : 1);
    struct dora__arrow *arrow;
    int r;

    assert_non_null(copy);
    memcpy(copy, bytes, size);
    r = dora__arrow_open(copy, size, &released, count_release, &arrow);
    if (r == 0) {
        look_at(dora__arrow_root(arrow));
        dora__arrow_unref(arrow);
    } else {
        assert_int_equal(r, -EBADMSG);
    }
    free(copy);
    return r == 0;
}

static void
test_arrow_blocks_of_any_bytes(void **state)
{
    static _Alignas(64) unsigned char block[MOST];
    static const int32_t places[] = {0, 2, 3}, texts[] = {0, 1, 3, 6};
    static const unsigned char validity[] = {5};
    struct column root, list, items;
    size_t size;

    (void)state;
    column(&items, "u", 0, 3, validity, texts, "abbccc");
    column(&list, "+l", 0, 2, validity, places, NULL);
    child(&list, &items);
    column(&root, "+s", 0, 2, NULL, NULL, NULL);
    child(&root, &list);
    size = pack(&root, block);
    assert_true(try_block(block, size));
    for (size_t cut = 0; cut < size; cut++)
        (void)try_block(block, cut);
    for (size_t at = 0; at < size; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            block[at] ^= (unsigned char)(1U << bit);
            (void)try_block(block, size);
            block[at] ^= (unsigned char)(1U << bit);
        }
    for (size_t at = 0; at + 8 <= size; at += 4) {
        unsigned char saved[8];

        memcpy(saved, block + at, sizeof saved);
        memset(block + at, 0xFF, sizeof saved);
        (void)try_block(block, size);
        memset(block + at, 0, sizeof saved);
        (void)try_block(block, size);
        memcpy(block + at, saved, sizeof saved);
    }
    assert_true(try_block(block, size));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arrow_numbers_begin_where_the_offset_says),
        cmocka_unit_test(test_arrow_bits_are_shifted),
        cmocka_unit_test(test_arrow_texts_lose_what_lies_before_and_behind),
        cmocka_unit_test(test_arrow_children_go_with_their_parent),
        cmocka_unit_test(test_arrow_words_travel),
        cmocka_unit_test(test_arrow_exported_children_live_by_themselves),
        cmocka_unit_test(test_arrow_without_memory),
        cmocka_unit_test(test_arrow_formats),
        cmocka_unit_test(test_arrow_contradictions_are_refused),
        cmocka_unit_test(test_arrow_too_deep),
        cmocka_unit_test(test_arrow_writing_stays_in_its_room),
        cmocka_unit_test(test_arrow_places_between_are_looked_at),
        cmocka_unit_test(test_arrow_metadata_ends_where_it_says),
        cmocka_unit_test(test_arrow_blocks_of_any_bytes),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
