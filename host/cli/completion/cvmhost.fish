# Completion of cvmhost for fish. The program itself says what could come next, so plugins' commands are known, too.
# Installed as share/fish/vendor_completions.d/cvmhost.fish; by hand: cvmhost completion fish | source

function __cvmhost_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in ($words[1] complete -- $words[2..-1] 2>/dev/null)
        switch $line
            case ':files'
                __fish_complete_path (commandline -ct)
            case ':dirs'
                __fish_complete_directories (commandline -ct)
            case '*'
                echo $line
        end
    end
end

complete -c cvmhost -f -a '(__cvmhost_complete)'
