f"{x!r:>{w}} {{ {d["k"]:%H:%M} \N{BULLET} {f"{y=}"}" + rf'''\{a}
{b:{c}}'''; import a.b
