#!/usr/bin/env bash
# Install what the browser tests need, where that is possible: axe-core, and Chromium.
set -euo pipefail
axe="$(cd "$(dirname "$0")/../.." && pwd)/build/axe-core"
if [ ! -f "$axe/package/axe.min.js" ]; then
    if command -v npm >/dev/null; then
        echo "fetching axe-core"
        mkdir -p "$axe"
        (cd "$axe" && npm pack --silent axe-core@4.14.1 >/dev/null && tar -xzf axe-core-*.tgz) \
            || echo "axe-core could not be fetched: the tests that need it are skipped" >&2
    else
        echo "no npm, so no axe-core: the tests that need it are skipped" >&2
    fi
fi
if command -v chromium || command -v chromium-browser || command -v google-chrome; then
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "install Chromium or Google Chrome with your system's package manager, then run make test again" >&2
    exit 1
fi
as_root=""
if [ "$(id -u)" != 0 ]; then as_root="sudo -n"; fi
echo "installing Chromium"
$as_root apt-get update -qq
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -qq -y --no-install-recommends chromium >/dev/null
command -v chromium
