#compdef cvmhost
# Completion of cvmhost for zsh. The program itself says what could come next, so plugins' commands are known, too.
# Installed as share/zsh/site-functions/_cvmhost; by hand: source <(cvmhost completion zsh)

_cvmhost() {
    local word about
    local -a candidates
    while IFS=$'\t' read -r word about; do
        case $word in
            :files) _files ;;
            :dirs) _files -/ ;;
            *) candidates+=("${word//:/\\:}${about:+:$about}") ;;
        esac
    done < <(${words[1]} complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
    (( $#candidates )) && _describe -t cvmhost cvmhost candidates
}

if [[ $funcstack[1] == _cvmhost ]]; then
    _cvmhost "$@"
else
    compdef _cvmhost cvmhost
fi
