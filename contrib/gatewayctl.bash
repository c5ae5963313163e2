# SPDX-License-Identifier: Apache-2.0
# Completion of gatewayctl for bash: the program itself says what may follow, from its table of commands and what the
# running instance has, so the words are never out of date.
_gatewayctl()
{
    local cur=${COMP_WORDS[COMP_CWORD]} i word words
    local -a said=() socket=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        -s | --socket) socket=(-s "${COMP_WORDS[++i]}") ;;
        -i | --instance) socket=(-i "${COMP_WORDS[++i]}") ;;
        --timeout | -f | -o | --comment | --wait | --limit) ((i++)) ;;
        -*) ;;
        *) said+=("$word") ;;
        esac
    done
    if [[ ${COMP_WORDS[COMP_CWORD - 1]} == -f ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
    fi
    words=$(gatewayctl "${socket[@]}" --complete "${said[@]}" 2>/dev/null)
    mapfile -t COMPREPLY < <(compgen -W "$words --json --socket --instance --timeout --help" -- "$cur")
}
complete -F _gatewayctl gatewayctl
