"""What must be true of two providers in order: one job at a time, each for a generation, charged as reported."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from decimal import Decimal
from itertools import pairwise
from typing import Any

from chaos.box import METERED_MODEL, Job
from chaos.faults import Scene, read_generation
from chaos.findings import Findings

Shown = dict[str, Any]
_PRINTS = frozenset({"poster", METERED_MODEL})


async def check_providers(findings: Findings, scene: Scene, everything: dict[str, Shown]) -> None:
    """R17, R29, R30: all that the providers were asked for, and what became of it."""
    jobs: defaultdict[str, list[Job]] = defaultdict(list)
    for job in (job for box in scene.boxes for job in box.jobs.values()):
        jobs[job.generation].append(job)
    keys = Counter(key for box in scene.boxes for key in box.jobs)
    findings.double += [f"{key}: both providers were given this job" for key, times in keys.items() if times > 1]
    for generation, its in jobs.items():
        await _check_submissions(findings, scene, generation, keys)
        _check_order(scene, generation, sorted(its, key=lambda job: job.accepted_at))
    for shown in everything.values():
        if shown["model"] in _PRINTS:
            _check_outputs(findings, scene, shown, jobs[shown["id"]])
    for shown in everything.values():
        if shown["model"] == METERED_MODEL:
            _check_charge(scene, shown)


async def _check_submissions(findings: Findings, scene: Scene, generation: str, keys: Counter[str]) -> None:
    """No job without a generation, and no second one before the first had failed."""
    found = await read_generation(scene.processes, generation)
    if found is None:
        findings.jobs_without_generation += 1
        findings.double.append(f"{generation} is unknown, and the provider had a job for it")
        return
    numbers = {key.partition(":")[2] for key in keys if key.startswith(f"{generation}:")}
    if not numbers <= {str(number) for number in range(found.submission + 1)}:
        findings.double.append(f"{generation}: the provider failed {found.submission} jobs, and was given {numbers}")


def _check_order(scene: Scene, generation: str, jobs: list[Job]) -> None:
    """R30: at most one open job, also after an answer that was lost: nobody is asked while another one may have it."""
    for job, following in pairwise(jobs):
        over = job.over_at is not None and job.over_at <= following.accepted_at
        scene.checks.that(
            over,
            "jobs that followed another's verdict",
            f"{generation}: {following.id} was begun while {job.id} was open ({job.fate}, unknown: {job.unknown})",
        )
    scene.checks.seen["acceptances that were unknown"] += sum(job.unknown for job in jobs)


def _check_outputs(findings: Findings, scene: Scene, shown: Shown, jobs: list[Job]) -> None:
    """What was delivered is what they made for this very generation, and nothing that a provider had denied."""
    delivered = {output["sha256"] for output in shown["outputs"]}
    made = {_name(picture) for job in jobs for picture in (*job.pictures, *job.late)}
    if not delivered <= made:
        findings.wrong.append(f"{shown['id']} delivered what its provider never made for it")
    for job in jobs:
        if job.id in scene.processes.said.late:
            problem = f"{shown['id']} delivered what {job.id} finished after it had been left"
            scene.checks.that(
                not delivered & set(map(_name, job.late)), "late successes discarded and counted", problem
            )


def _name(picture: bytes) -> str:
    return hashlib.sha256(picture).hexdigest()


def _check_charge(scene: Scene, shown: Shown) -> None:
    """R29: what was charged is an independent sum of what was reported of what was delivered."""
    reported = {sha256: figure for box in scene.boxes for sha256, figure in box.reported.items()}
    figures = [reported.get(output["sha256"]) for output in shown["outputs"]]
    card = next(card for card in scene.cast.cards.history if card.version == shown["price"]["rate_card"])
    charged, expected = int(Decimal(shown["credits"]["committed"]) * 1000), card.charge(shown, figures)
    scene.checks.that(
        charged == expected,
        "charges by what was reported, by an independent sum",
        f"{shown['id']} was charged {charged}, and by what was reported of it ({figures}) it costs {expected}",
    )
