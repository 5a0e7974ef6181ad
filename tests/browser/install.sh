#!/usr/bin/env bash
# Install Chromium for the browser tests where that is possible.
set -euo pipefail
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
