"""What the lab's stack has not, or has from the machine that runs it: a quiet week's host is its own.

How full a test machine's disk is, and what its clock, its memory and its load say, must decide nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from quiet_week import DEPLOY_MINUTES, Scraped


def jobs_left(jobs: Mapping[str, float], node: Mapping[str, str]) -> list[Scraped]:
    """What the jobs of these names, with their time limits, have left for node exporter at `node`."""

    def left(name: str, value: float = 0.0, /, **labels: str) -> Scraped:
        return Scraped(name, {**node, **labels}, value)

    found = [
        left("techsapo_drift_findings", name="drift", kind=k)
        for k in ("apply", "file", "service", "stranger")
    ]
    for job, limit in jobs.items():
        found += [
            left("techsapo_job_last_exit_code", name=job),
            left("techsapo_job_last_success_timestamp_seconds", name=job),
            left("techsapo_job_next_run_timestamp_seconds", name=job),
            left("techsapo_job_time_limit_seconds", limit, name=job),
        ]
    certificate = {"name": "techsapo", "source": "acme"}
    found += [
        left(f"techsapo_cert_{what}", value, **certificate)
        for what, value in {
            "not_before_timestamp_seconds": 0.0, "not_after_timestamp_seconds": 0.0,
            "renewal_failures": 0.0, "served_matches": 1.0,
        }.items()
    ]  # fmt: skip
    found += [
        left(f"techsapo_backup_{what}", value, name="backups")
        for what, value in {
            "newest_timestamp_seconds": 0.0, "newest_verified_timestamp_seconds": 0.0,
            "last_verification_success": 1.0,
            # Two weeks are not over in this one.
            "offsite_verified_timestamp_seconds": 0.0, "offsite_last_verification_success": 1.0,
        }.items()
    ]  # fmt: skip
    found.append(left("techsapo_drill_last_success", 1.0, name="drills", drill="restore"))
    found.append(left("techsapo_backup_shrunk", name="backups", source="mysql"))
    found.append(left("techsapo_data_missing", name="drift", service="mysql"))
    found.append(left("techsapo_scheduler_heartbeat_timestamp_seconds", name="scheduler"))
    # Of a new version of the app alone: it wrote no file.
    deploy = {"number": "7", "user": "root", "command": "up", "result": "ok", "files": "0"}
    found.append(left("techsapo_apply_timestamp_seconds", name="apply", **deploy))
    found.append(left("techsapo_apply_duration_seconds", 60.0 * DEPLOY_MINUTES, name="apply", number="7"))
    found += [left("techsapo_service_replaced", name="drift", service=s) for s in ("app-1", "nginx")]
    return [*found, left("techsapo_backup_recovery_seconds", 40, name="backups", source="mysql")]


def host(node: Mapping[str, str]) -> list[Scraped]:
    """What node exporter at `node` tells of a host with a RAID and a systemd."""
    disk = {"device": "/dev/md0", "fstype": "ext4", "mountpoint": "/"}
    unit = {"name": "nginx.service", "type": "forking"}
    states = ("active", "activating", "deactivating", "failed", "inactive")
    of_whole = {
        "boot_time_seconds": 0.0, "time_seconds": 0.0, "textfile_scrape_error": 0.0, "vmstat_oom_kill": 0.0,
        "memory_MemAvailable_bytes": 16e9, "memory_MemTotal_bytes": 16e9,
        "nf_conntrack_entries": 3000.0, "nf_conntrack_entries_limit": 262144.0,
        "timex_maxerror_seconds": 0.05, "timex_offset_seconds": 0.001, "timex_sync_status": 1.0,
    }  # fmt: skip
    of_disk = {
        "avail_bytes": 100e9, "size_bytes": 100e9, "device_error": 0.0, "readonly": 0.0, "files": 6.5e6,
        "files_free": 6e6,
    }  # fmt: skip
    raid = {"active": 2.0, "failed": 0.0, "spare": 0.0}
    found: list[tuple[str, dict[str, str], float]] = [
        *((name, {}, value) for name, value in of_whole.items()),
        *((f"filesystem_{name}", disk, value) for name, value in of_disk.items()),
        *(("md_disks", {"device": "md0", "state": s}, value) for s, value in raid.items()),
        ("md_disks_required", {"device": "md0"}, 2.0),
        *(("systemd_unit_state", {**unit, "state": s}, float(s == "active")) for s in states),
    ]
    return [Scraped(f"node_{name}", {**node, **labels}, value) for name, labels, value in found]


def front() -> list[Scraped]:
    """What the blackbox exporter saw of nginx, and which targets there are beside those of the lab."""
    probe = {"job": "techsapo-probes", "instance": "nginx", "name": "nginx", "scope": "front"}
    return [
        Scraped("up", probe, 1.0),
        *(Scraped("up", {"job": name, "instance": name}, 1.0) for name in ("grafana", "blackbox-exporter")),
        Scraped("probe_success", probe, 1.0),
        Scraped("probe_duration_seconds", probe, 0.02),
        Scraped("probe_ssl_last_chain_expiry_timestamp_seconds", probe, 0.0),
    ]
