# SPDX-License-Identifier: Apache-2.0
# Completion of gatewayctl for bash: the words come from the program's own help, so they are never out of date.
_gatewayctl()
{
    local cur=${COMP_WORDS[COMP_CWORD]} said="" word i
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        -s | --socket | --timeout) ((i++)) ;;
        -*) ;;
        *) said+="$word " ;;
        esac
    done
    local words
    words=$(gatewayctl --help 2>/dev/null | sed -n 's/^  \([a-z][a-z ]*[a-z]\).*/\1/p' |
        awk -v said="$said" 'index($0 " ", said) == 1 { split(substr($0, length(said) + 1), w, " "); print w[1] }')
    mapfile -t COMPREPLY < <(compgen -W "$words --json --socket --timeout --help" -- "$cur")
}
complete -F _gatewayctl gatewayctl
