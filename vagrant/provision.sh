#!/usr/bin/env bash
# Makes any Debian or Ubuntu host one of podwire's: unpacks a release and runs its ./scripts/install.
#
#   ./provision.sh RELEASE.tar.gz                    podwire alone
#   ./provision.sh RELEASE.tar.gz server ADDRESS     … and the server; prints what to type on the others
#   ./provision.sh RELEASE.tar.gz agent …            … and an agent, with the words of the line that the server printed
#
# A release is made by ./scripts/release in a checkout. Can be run again: that is the upgrade.
set -euo pipefail
release=${1:?a release of podwire, made by ./scripts/release}
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tar -xzf "$release" -C "$folder" --strip-components=1
"$folder/scripts/install" "$@"
