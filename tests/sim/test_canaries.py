"""Seeded bugs that the simulator must find: for each entry of canaries.txt one source of the engine is compiled with a text replaced, and linked
into a simulator before the libraries, so that it stands for the original. The product has no code for it.

WEIR_CANARY=words plays only entries whose title contains them."""
import concurrent.futures, os, subprocess, sys, time

source, build = os.environ["WEIR_SOURCE"], os.environ["WEIR_BUILD"]


def entries():
    entry = {}
    yield {"title": "nothing is wrong: control", "file": "engine/model/lookup.c", "-": "w->at = (place){answer.next, 0};", "+": "w->at = (place){answer.next, 0};", "is_fine": True}
    same = "if (rc == 0 && changed) rc = mark_users(p, at, err);"
    yield {"title": "nothing is wrong: control of the planner", "by": "plan", "file": "engine/model/plan.c", "-": same, "+": same, "is_fine": True}
    for line in open(f"{source}/tests/sim/canaries.txt"):
        line = line.rstrip("\n")
        if line.startswith("#") or not line:
            continue
        mark, _, rest = line.partition(" ")
        if mark in ("file", "by", "-", "+"):
            entry[mark] = rest.strip()
            if mark == "+":
                yield entry
        else:
            entry = {"title": line}


def settings():
    """How the simulator was compiled and linked: written by tests.cmake."""
    pairs = (line.rstrip("\n").split("=", 1) for line in open(f"{build}/tests/canaries.env"))
    return {name: [word for word in value.split(";") if word] for name, value in pairs}


def check(number, entry, how):
    text = open(f"{source}/{entry['file']}").read()
    if text.count(entry["-"]) != 1:
        return f"{entry['file']} holds the text {text.count(entry['-'])} times, not once: {entry['-']}"
    changed, program = f"canary{number}.c", os.path.abspath(f"canary{number}")
    with open(changed, "w") as out:
        out.write(text.replace(entry["-"], entry["+"]))
    by_plan = entry.get("by") == "plan"
    rest = [f"{source}/tests/engine/model/plan_canary.c"] if by_plan else how["OBJECTS"]
    libs = [word for word in how["LIBS"] if not (by_plan and "--wrap" in word)]
    compiled = subprocess.run([*how["CC"], *how["FLAGS"], "-w", changed, *rest, "-o", program, *libs], capture_output=True, text=True)
    if compiled.returncode != 0:
        return f"{entry['file']} cannot be built:\n{compiled.stderr[-2000:]}"
    began = time.monotonic()
    played = subprocess.run([program], capture_output=True, text=True, errors="replace", env={**os.environ, "WEIR_SIM_WATCH": "1", "WEIR_SIM_STEPS": "300" if "is_fine" in entry else "6000"})
    os.unlink(program)
    if "is_fine" in entry:
        return None if played.returncode == 0 else f"wrong (code {played.returncode}): {played.stderr[-300:]}"
    if played.returncode != 1:
        return f"not found (code {played.returncode}): {played.stderr[-300:]}"
    print(f"found: {entry['title']} ({time.monotonic() - began:.1f} s)", flush=True)
    return None


def main():
    how, wanted = settings(), os.environ.get("WEIR_CANARY", "")
    chosen = [e for e in entries() if wanted in e["title"]]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        faults = list(pool.map(lambda pair: check(*pair, how), enumerate(chosen)))
    for entry, fault in zip(chosen, faults):
        if fault:
            print(f"FAILED: {entry['title']}: {fault}")
    print(f"{sum('is_fine' not in e for e in chosen)} canaries in {len({e['file'] for e in chosen})} sources, {sum(f is not None for f in faults)} faults")
    return 1 if any(faults) or not chosen else 0


sys.exit(main())
