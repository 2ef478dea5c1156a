/* scan_test.c - which scripts may run inside the host without being asked. */
#include "../pyapi/launch/scan.h"

#include "pythons.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* `script` (of flow/) may: `word` is NULL; or not, and why has `word`. */
static void
assert_scanned(struct world *world, const char *script, const char *word)
{
    struct dora__scan *scan = dora__scan_new(world->flow);
    DORA_AUTOFREE char *path = dora__format("%s/%s", world->flow, script);
    const char *why = "it may";

    assert_non_null(scan);
    for (int i = 0; i < 2; i++) { /* asked again, it says the same */
        if (dora__scan_script(scan, path, &why) != (word == NULL))
            fail_msg("%s, not %s", why, word == NULL ? "it may" : word);
        if (word != NULL && strstr(why, word) == NULL)
            fail_msg("no `%s` in: %s", word, why);
    }
    dora__scan_free(scan);
}

static void
assert_text(struct world *world, const char *text, const char *word)
{
    make_file(world, "flow/node.py", 0644, text);
    assert_scanned(world, "node.py", word);
}

static void
test_scan_lets_known_modules_inside(void **state)
{
    static const char *const texts[] = {
        "",
        "import json, os.path as p, xml.etree.ElementTree\n",
        "from dora import Node\nimport dora.builder\n",
        "from collections import (\n    deque,\n    OrderedDict as O,\n)\n",
        "from __future__ import annotations\nimport math; import sys\n",
        "try: from json import loads\nexcept ImportError: import csv\n",
        "text = 'import numpy'\n'''\nimport numpy\n'''\n# import numpy\n",
        "x = f'{1:{2}} import numpy {{exec}}'\n",
        "raise ValueError from None\n",
        "lazy import json\nlazy from re import sub\nlazy = 1\n",
        "lazy = ValueError()\nraise lazy from None\n",
        "x = t'{1:{2}} import numpy' + rt\"\"\"\nimport numpy\n\"\"\"\n",
        "def g():\n    yield from (1,)\n    value.eval()\n",
        "def exec(code): pass\nos.path.join('a')\nself.path = 1\n",
        "from json import *\n",
        "import \\\n  json\n",
        "\xef\xbb\xbfimport json\r\nimport csv\r",
        "# -*- coding: utf-8 -*-\n",
    };

    for (size_t i = 0; i < DORA_COUNT(texts); i++)
        assert_text(*state, texts[i], NULL);
}

static void
test_scan_names_the_line_that_decides(void **state)
{
    assert_text(*state,
                "import os\n\n  \timport numpy as np  # fast\nimport x\n",
                "node.py:3: import numpy as np  # fast (numpy is not known");
}

static void
test_scan_sends_the_rest_away(void **state)
{
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"import socket", "can wait"},
        {"import asyncio.tasks", "can wait"},
        {"import subprocess", "starts programs"},
        {"from urllib import request", "can wait"},
        {"from concurrent.futures import Future", "threads"},
        {"import json, ctypes", "C code"},
        {"if x: import numpy", "numpy"},
        {"def f():\n    import numpy", "node.py:2:"},
        {"import json.nowhere", "json.nowhere"},
        {"import os\nos.fork()", "node.py:2: os.fork()"},
        {"from os import (path,\n  fork)", "node.py:2:"},
        {"from os import *", "process"},
        {"import sys\nsys.path.insert(0, 'x')", "modules come from"},
        {"from sys import path", "modules come from"},
        {"import sys as s", "another name"},
        {"x = __import__('a')", "cannot be seen"},
        {"exec('import numpy')", "cannot be seen"},
        {"f'{eval(x)}'", "cannot be seen"},
        {"f'{x:{eval(x)}}'", "cannot be seen"},
        {"f'''\n{\neval(x)}'''", "node.py:3:"},
        {"from .nowhere import x", "no such module"},
        {"x = 'no end", "not understood"},
        {"x = (1,", "not understood"},
        {"x = $y", "not understood"},
        {"import 1", "not understood"},
        {"from x y", "not understood"},
        {"lazy import socket", "can wait"},
        {"import re; lazy from numpy import array", "numpy is not known"},
        {"lazy from numpy import array", "numpy is not known"},
        {"# coding: utf-7\n", "encoding"},
        {"#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\n", "encoding"},
    };

    for (size_t i = 0; i < DORA_COUNT(cases); i++)
        assert_text(*state, cases[i].text, cases[i].word);
    assert_scanned(*state, "nowhere.py", "cannot be read");
}

static void
test_scan_reads_modules_beside_the_script(void **state)
{
    struct world *world = *state;

    make_file(world, "flow/a/helper.py", 0644, "import json, other\n");
    make_file(world, "flow/a/other.py", 0644, "import helper\n");
    make_file(world, "flow/a/node.py", 0644, "import helper\n");
    assert_scanned(world, "a/node.py", NULL);
    make_file(world, "flow/a/other.py", 0644, "import helper\nimport numpy\n");
    assert_scanned(world, "a/node.py", "a/other.py:2: import numpy");
    make_file(world, "flow/a/other.cpython-313.so", 0644, "");
    assert_scanned(world, "a/node.py", "other is C code");
    make_file(world, "flow/node.py", 0644, "import helper\n");
    assert_scanned(world, "node.py", "helper is not known");
}

static void
test_scan_reads_packages_beside_the_script(void **state)
{
    struct world *world = *state;

    make_file(world, "flow/node.py", 0644, "from pack.sub import thing\n");
    make_file(world, "flow/pack/__init__.py", 0644, "from . import one\n");
    make_file(world, "flow/pack/one.py", 0644, "");
    make_file(world, "flow/pack/sub/__init__.py", 0644,
              "from ..one import x\nfrom .thing import y\n");
    make_file(world, "flow/pack/sub/thing.py", 0644, "import json\n");
    assert_scanned(world, "node.py", NULL);
    make_file(world, "flow/pack/sub/thing.py", 0644, "import numpy\n");
    assert_scanned(world, "node.py", "pack/sub/thing.py:1: import numpy");
    make_file(world, "flow/pack/sub/thing.py", 0644, "");
    make_file(world, "flow/pack/one.py", 0644, "import numpy\n");
    assert_scanned(world, "node.py", "pack/one.py:1:");
    make_file(world, "flow/node.py", 0644, "from pack import *\n");
    assert_scanned(world, "node.py", "all that a package has");
    make_file(world, "flow/bare/inner.py", 0644, "import numpy\n");
    make_file(world, "flow/node.py", 0644, "import bare.inner\n");
    assert_scanned(world, "node.py", "bare/inner.py:1:");
}

static void
test_scan_minds_files_called_like_standard_modules(void **state)
{
    struct world *world = *state;

    make_file(world, "flow/json/data.txt", 0644, "");
    assert_scanned(world, "node.py", NULL);
    make_file(world, "flow/random.py", 0644, "");
    assert_scanned(world, "node.py", "random.py beside it");
    assert_int_equal(unlink(below(world, "flow/random.py")), 0);
    make_file(world, "flow/json/__init__.py", 0644, "");
    assert_scanned(world, "node.py", "json beside it");
}

static void
test_scan_follows_links_as_python_does(void **state)
{
    struct world *world = *state;

    make_file(world, "lib/real.py", 0644, "import helper\n");
    make_file(world, "lib/helper.py", 0644, "import numpy\n");
    make_file(world, "flow/helper.py", 0644, "");
    make_link(world, "flow/link.py", "lib/real.py");
    assert_scanned(world, "link.py", "/lib/helper.py:1:");
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_scan_lets_known_modules_inside),
        IN_WORLD(test_scan_names_the_line_that_decides),
        IN_WORLD(test_scan_sends_the_rest_away),
        IN_WORLD(test_scan_reads_modules_beside_the_script),
        IN_WORLD(test_scan_reads_packages_beside_the_script),
        IN_WORLD(test_scan_minds_files_called_like_standard_modules),
        IN_WORLD(test_scan_follows_links_as_python_does),
    };

    (void)alarm(300);
    built = argc > 1 ? argv[1] : built;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
