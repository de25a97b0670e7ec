# shellcheck shell=bash
# What every script here shares: messages, the cache folder, and building into it atomically.

# mke2fs and depmod live in sbin, which is not on every user's path.
PATH="$PATH:/usr/sbin:/sbin"
export LC_ALL=C

scripts="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
repository="$(dirname "$scripts")"
cache="${APUS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/apus}"
export scripts repository cache

# Changing this number rebuilds everything in the cache.
cache_format=1

say() { printf 'apus: %s\n' "$*" >&2; }

die() {
  printf '%s: error: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# No step fails in silence.
set -E
trap 'printf "%s: error: line %s: %s\n" "${0##*/}" "$LINENO" "$BASH_COMMAND" >&2' ERR

# Runs a command silently; when it fails, shows the end of what it printed and stops.
quietly() {
  local log
  log="$(mktemp)"
  if ! "$@" >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    rm -f "$log"
    die "'$*' failed"
  fi
  rm -f "$log"
}

# slice START LENGTH FILE: that many bytes of a file from that offset.
slice() { dd if="$3" iflag=skip_bytes,count_bytes skip="$1" count="$2" bs=1M status=none; }

# key FILE-OR-WORD...: a short hash over the contents of files and over words.
key() {
  local item
  for item in "$cache_format" "$@"; do
    if [[ -f $item ]]; then cat -- "$item"; else printf '%s\n' "$item"; fi
  done | sha256sum | cut -c 1-12
}

# published NAME KEY: whether the cache holds NAME, built from KEY.
published() {
  [[ "$(readlink "$cache/$1" 2>/dev/null)" == "store/$1-$2" && -d "$cache/$1" ]]
}

# publish NAME KEY FOLDER: makes FOLDER what the cache shows as NAME, in one step, and drops what it replaces.
publish() {
  local name="$1" key="$2" folder="$3" old
  mkdir -p "$cache/store"
  chmod 755 "$folder"
  rm -rf "$cache/store/$name-$key"
  mv -T "$folder" "$cache/store/$name-$key"
  ln -sfn "store/$name-$key" "$cache/.$name.new"
  mv -fT "$cache/.$name.new" "$cache/$name"
  for old in "$cache/store/$name"-????????????; do
    [[ "$old" == "$cache/store/$name-$key" ]] || rm -rf "$old"
  done
}

# module_closure FOLDER MODULE...: the named kernel modules and all that they need, in the order to load them.
# Built-in modules are left out. Debian's package carries no modules.dep, so each module's own record is read.
module_closure() {
  local folder="$1" module
  shift
  declare -A seen=()
  for module in "$@"; do module_visit "$folder" "$module"; done
}

module_visit() {
  local folder="$1" name="${2//-/_}" file depends dependency
  [[ -z ${seen[$name]:-} ]] || return 0
  seen[$name]=1
  # The kernel takes '-' and '_' in a module's name for the same character.
  file="$(find "$folder" -name "${name//_/[-_]}.ko" -print -quit)"
  if [[ -z $file ]]; then
    [[ "$(tr -- '-\n' '_ ' <"$folder/modules.builtin")" != *"/$name.ko "* ]] || return 0
    die "this kernel has no module $2 (looked in $folder)"
  fi
  depends="$(tr '\0' '\n' <"$file" | sed -n 's/^depends=//p')"
  for dependency in ${depends//,/ }; do
    module_visit "$folder" "$dependency"
  done
  printf '%s\n' "$file"
}

# pack FOLDER ARCHIVE: an uncompressed initramfs of FOLDER, every file owned by root.
pack() {
  (cd "$1" && find . -print0 | sort -z |
    cpio --null --create --quiet --format=newc --owner=0:0 --reproducible) >"$2"
}
