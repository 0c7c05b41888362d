# Completion of cvmhost for bash. The program itself says what could come next, so plugins' commands are known, too.
# Installed as share/bash-completion/completions/cvmhost; by hand: source <(cvmhost completion bash)

_cvmhost()
{
    local word rest quoted name
    COMPREPLY=()
    while IFS=$'\t' read -r word rest; do
        case $word in
            :files | :dirs)
                compopt -o filenames 2>/dev/null
                while IFS= read -r name; do
                    COMPREPLY+=("$name")
                done < <(compgen "-$([[ $word == :dirs ]] && echo d || echo f)" -- "${COMP_WORDS[COMP_CWORD]}")
                ;;
            *)
                printf -v quoted %q "$word"
                COMPREPLY+=("$quoted")
                ;;
        esac
    done < <("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}

complete -F _cvmhost cvmhost
