"""Packs one vector packing instance (.vbp) with another solver, for `cargo xtask bench solver --against`.

    pack.py cpsat|vpsolver FILE SECONDS

Prints a JSON line: hosts (null where no packing was found), bound, optimal, seconds. Reading the file
does not count; making the model does.
"""

import json
import math
import pathlib
import subprocess
import sys
import tempfile
import time


def read(path):
    """(room, [(need, copies)]), all in the instance's own units."""
    words = iter(open(path).read().split())
    number = lambda: int(next(words))
    resources = number()
    room = [number() for _ in range(resources)]
    items = []
    for _ in range(number()):
        need = [number() for _ in range(resources)]
        items.append((need, number()))
    return room, items


def volume(room, items):
    """No packing has fewer hosts than the scarcest resource fills."""
    totals = [sum(need[r] * copies for need, copies in items) for r in range(len(room))]
    return max(math.ceil(total / of) for total, of in zip(totals, room))


def first_fit(room, items):
    """The content of each host: the largest items first, each to the first host with room."""
    single = [need for need, copies in items for _ in range(copies)]
    single.sort(key=lambda need: -sum(n / of for n, of in zip(need, room)))
    at, left = [], []
    for need in single:
        fits = (h for h, free in enumerate(left) if all(n <= f for n, f in zip(need, free)))
        host = next(fits, len(left))
        if host == len(left):
            left.append(list(room))
        left[host] = [f - n for f, n in zip(left[host], need)]
        at.append(host)
    return single, at


def cpsat(_path, room, items, seconds):
    """min Σ y[h]: each item on one host, needs within room·y[h]. Items come largest first, item i on one
    of the first i hosts, hosts in use first, from a first-fit packing and the volume bound: the stronger
    of the models tried."""
    from ortools.sat.python import cp_model

    single, at = first_fit(room, items)
    hosts = max(at, default=-1) + 1
    model = cp_model.CpModel()
    y = [model.new_bool_var("") for _ in range(hosts)]
    x = {
        (i, h): model.new_bool_var("")
        for i in range(len(single))
        for h in range(min(i + 1, hosts))
    }
    on = [[] for _ in range(hosts)]
    for i in range(len(single)):
        model.add_exactly_one(x[i, h] for h in range(min(i + 1, hosts)))
    for i, h in x:
        on[h].append(i)
        model.add_implication(x[i, h], y[h])
        model.add_hint(x[i, h], at[i] == h)
    for h in range(hosts):
        for r, of in enumerate(room):
            model.add(sum(single[i][r] * x[i, h] for i in on[h]) <= of * y[h])
        model.add_hint(y[h], True)
    for h in range(hosts - 1):
        model.add_implication(y[h + 1], y[h])
    model.add(sum(y) >= volume(room, items))
    model.minimize(sum(y))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = 2
    status = solver.solve(model)
    found = status in (cp_model.OPTIMAL, cp_model.FEASIBLE)
    bound = max(volume(room, items), math.ceil(solver.best_objective_bound - 1e-6))
    return (round(solver.objective_value) if found else None), bound


def vpsolver(path, room, items, seconds):
    """VPSolver's arc-flow graph, its integer program solved by HiGHS."""
    import highspy

    ends = time.monotonic() + seconds
    tools = pathlib.Path(sys.executable).parent
    bound = volume(room, items)
    with tempfile.TemporaryDirectory() as folder:
        graph, model = f"{folder}/graph.afg", f"{folder}/model.mps"
        try:
            for command in ([tools / "vbp2afg", path, graph], [tools / "afg2mps", graph, model]):
                left = max(ends - time.monotonic(), 0.1)
                subprocess.run(command, timeout=left, check=True, stdout=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return None, bound
        solver = highspy.Highs()
        solver.setOptionValue("output_flag", False)
        solver.setOptionValue("threads", 2)
        solver.readModel(model)
    # The objective is a whole number of hosts.
    solver.setOptionValue("mip_rel_gap", 0.0)
    solver.setOptionValue("mip_abs_gap", 0.9)
    solver.setOptionValue("time_limit", max(ends - time.monotonic(), 0.1))
    solver.run()
    info = solver.getInfo()
    if math.isfinite(info.mip_dual_bound):
        bound = max(bound, math.ceil(info.mip_dual_bound - 1e-6))
    found = info.primal_solution_status == 2
    return (round(info.objective_function_value) if found else None), bound


def main():
    which, path, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    room, items = read(path)
    began = time.monotonic()
    solve = {"cpsat": cpsat, "vpsolver": vpsolver}[which]
    hosts, bound = solve(path, room, items, seconds)
    taken = time.monotonic() - began
    line = {"hosts": hosts, "bound": bound, "optimal": hosts == bound, "seconds": round(taken, 3)}
    print(json.dumps(line))


if __name__ == "__main__":
    main()
