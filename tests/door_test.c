/* door_test.c - knocking at a dataflow's door, and what is said through it. */
#include "flow/door.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>

struct world {
    char id[64];
    struct dora__door door;
};

/* One who knocks, on a thread of its own. */
struct caller {
    pthread_t thread;
    int fd, code;
    const char *node;
    struct dora__attachment attachment;
    struct dora_error err;
};

static int
open_world(void **state)
{
    static struct world world;
    struct dora_error err;

    (void)snprintf(world.id, sizeof world.id, "test-%d", (int)getpid());
    *state = &world;
    return dora__door_open(world.id, &world.door, &err);
}

static int
close_world(void **state)
{
    struct world *world = *state;

    dora__door_close(&world->door);
    return 0;
}

static void *
knock(void *arg)
{
    struct caller *caller = arg;

    caller->code = dora__door_knock(caller->fd, caller->node,
                                    &caller->attachment, &caller->err);
    return NULL;
}

static void
call(const struct world *world, struct caller *caller, const char *node)
{
    *caller = (struct caller){.fd = dora__door_find(world->id), .node = node};
    assert_true(caller->fd >= 0);
    assert_int_equal(pthread_create(&caller->thread, NULL, knock, caller), 0);
}

static void
hang_up(struct caller *caller)
{
    assert_int_equal(pthread_join(caller->thread, NULL), 0);
    (void)close(caller->fd);
}

/* The visitor that is heard next. */
static struct dora__visitor *
hear(struct world *world)
{
    struct pollfd polled = {.fd = world->door.epoll_fd, .events = POLLIN};

    for (;;) {
        for (size_t i = 0; i < DORA__VISITORS; i++)
            if (dora__visitor_waits(&world->door.visitors[i]))
                return &world->door.visitors[i];
        assert_int_equal(poll(&polled, 1, -1), 1);
        dora__door_hear(&world->door);
    }
}

static void
test_door_hands_out_descriptors(void **state)
{
    struct world *world = *state;
    struct dora__attachment given = {.node = 7};
    struct dora__visitor *visitor;
    struct caller caller;
    struct stat here, there;
    int *fds[] = {&given.control_fd, &given.heaps_fd, &given.heaps_ro_fd,
                  &given.doorbell_fd};
    char text[4];
    int line;

    for (size_t i = 0; i < DORA_COUNT(fds); i++)
        assert_true((*fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0);
    call(world, &caller, "plot");
    visitor = hear(world);
    assert_string_equal(visitor->knock.node, "plot");
    assert_int_equal(visitor->pid, getpid());
    line = dora__visitor_admit(visitor, &given);
    assert_true(line >= 0);
    assert_int_equal(pthread_join(caller.thread, NULL), 0);
    assert_int_equal(caller.code, 0);
    assert_int_equal(caller.attachment.node, 7);
    assert_int_equal(fstat(given.doorbell_fd, &here), 0);
    assert_int_equal(fstat(caller.attachment.doorbell_fd, &there), 0);
    assert_int_equal(here.st_ino, there.st_ino);
    assert_int_equal(fcntl(caller.attachment.control_fd, F_GETFD), FD_CLOEXEC);
    /* The connection stays: what is written to it arrives, and its end. */
    assert_int_equal(write(caller.fd, "log", 3), 3);
    assert_int_equal(read(line, text, sizeof text), 3);
    (void)close(line);
    assert_int_equal(read(caller.fd, text, 1), 0);
    (void)close(caller.fd);
    for (size_t i = 0; i < DORA_COUNT(fds); i++)
        (void)close(*fds[i]);
    (void)close(caller.attachment.control_fd);
    (void)close(caller.attachment.heaps_fd);
    (void)close(caller.attachment.heaps_ro_fd);
    (void)close(caller.attachment.doorbell_fd);
}

static void
test_door_refuses_with_a_reason(void **state)
{
    struct world *world = *state;
    struct caller caller;

    call(world, &caller, "plot");
    dora__visitor_refuse(hear(world), EBUSY, "process %d is it", 42);
    hang_up(&caller);
    assert_int_equal(caller.code, -EBUSY);
    assert_string_equal(caller.err.text, "process 42 is it");
}

static void
test_door_closes_before_who_waits(void **state)
{
    struct world *world = *state;
    struct caller caller;

    call(world, &caller, "plot");
    (void)hear(world);
    dora__door_close(&world->door);
    hang_up(&caller);
    assert_int_equal(caller.code, -ESHUTDOWN);
    assert_int_equal(dora__door_find(world->id), -ECONNREFUSED);
}

static void
test_door_knows_another_version(void **state)
{
    struct world *world = *state;
    struct dora__knock wrong = {.magic = DORA__DOOR_MAGIC,
                                .layout = dora_layout_version() + 1};
    struct dora__answer answer;
    struct pollfd polled = {.fd = world->door.epoll_fd, .events = POLLIN};
    int fd = dora__door_find(world->id);

    /* In two parts, as a stream may deliver them. */
    assert_int_equal(send(fd, &wrong, 10, 0), 10);
    assert_int_equal(poll(&polled, 1, -1), 1);
    dora__door_hear(&world->door);
    assert_int_equal(send(fd, (char *)&wrong + 10, sizeof wrong - 10, 0),
                     sizeof wrong - 10);
    assert_int_equal(poll(&polled, 1, -1), 1);
    dora__door_hear(&world->door);
    assert_int_equal(recv(fd, &answer, sizeof answer, MSG_WAITALL),
                     sizeof answer);
    assert_int_equal(answer.code, -EPROTO);
    assert_non_null(strstr(answer.text, "another version"));
    (void)close(fd);
}

/* Those who come and say nothing keep nobody out. */
static void
test_door_silent_ones_give_way(void **state)
{
    struct world *world = *state;
    int silent[DORA__VISITORS + 3];
    struct caller caller;
    char byte;

    for (size_t i = 0; i < DORA_COUNT(silent); i++) {
        silent[i] = dora__door_find(world->id);
        assert_true(silent[i] >= 0);
        dora__door_hear(&world->door);
    }
    call(world, &caller, "plot");
    dora__visitor_refuse(hear(world), EBUSY, "heard");
    hang_up(&caller);
    assert_string_equal(caller.err.text, "heard");
    assert_int_equal(read(silent[0], &byte, 1), 0);
    for (size_t i = 0; i < DORA_COUNT(silent); i++)
        (void)close(silent[i]);
    dora__door_hear(&world->door);
    for (size_t i = 0; i < DORA__VISITORS; i++)
        assert_int_equal(world->door.visitors[i].fd, -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_door_hands_out_descriptors,
                                        open_world, close_world),
        cmocka_unit_test_setup_teardown(test_door_refuses_with_a_reason,
                                        open_world, close_world),
        cmocka_unit_test_setup_teardown(test_door_closes_before_who_waits,
                                        open_world, close_world),
        cmocka_unit_test_setup_teardown(test_door_knows_another_version,
                                        open_world, close_world),
        cmocka_unit_test_setup_teardown(test_door_silent_ones_give_way,
                                        open_world, close_world),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
