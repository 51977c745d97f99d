# shellcheck shell=bash disable=SC2034 # tables
# Completion of the command `forkserver` in Bash (4.3 or later). It needs nothing else; where bash-completion is loaded,
# the arguments of programs that are run are completed too.

# Sets what the command $1 takes ('': the program itself): `flags`, options without an argument; `takes`, options with
# the words that theirs may be, or with @ and the kind of it; `behind`, what may follow such a word behind a comma; the
# kinds of the first and of the other `operands`, and those `instead` where an option is given. 1: there is none.
#
# tools/manual writes what follows, from what `forkserver help` and `forkserver COMMAND --help` say
_forkserver_table() {
    case $1 in
    '')
        commands=(run call map check serve stop reload ping stats ps top help)
        flags=(-h --help --version)
        ;;
    run)
        flags=(--quick-exit --strict --sandbox-learn --unshare-net --unshare-ipc --unshare-uts --unshare-user
            --unshare-cgroup --direct -h --help --clear-groups --no-new-privs)
        takes=([--call]=@entry [--preload]=@file [--preload-timeout]='' [--memory]='auto freeze collapse off'
            [--socket]=@file [--server-uid]=@user [--wait]='' [--timeout]='' [--kill-after]='' [--trace]=@file
            [--sandbox]='untrusted pure-compute no-network no-exec none' [--ro-bind]=@file [--bind]=@file
            [--tmpfs]=@file [--proc]=@file [--seccomp-filter]=@file [--debug]='' [--rlimit]='CPU= FSIZE= DATA= STACK=
            CORE= RSS= NPROC= NOFILE= MEMLOCK= AS= LOCKS= SIGPENDING= MSGQUEUE= NICE= RTPRIO= RTTIME=' [--nice]=''
            [--oom-score-adj]='' [--cpu-list]='' [--ionice]='none realtime best-effort idle' [--reuid]=@user
            [--regid]=@group [--groups]='' [--bounding-set]='' [--ambient-caps]='' [--inh-caps]='' [--securebits]=''
            [--pdeathsig]=@signal [--cgroup]=@file)
        behind=([--sandbox]='read=@file exec=@file write=@file make=@file connect= listen=
            refuse=exec|network|sockets|others|kernel|metadata|files|namespaces|fork
            allow=exec|network|sockets|others|kernel|metadata|files|namespaces|fork filter=@file
            limit=CPU:|FSIZE:|DATA:|STACK:|CORE:|RSS:|NPROC:|NOFILE:|AS:|LOCKS:|SIGPENDING:|MSGQUEUE:|MEMLOCK:
            unshare=net|ipc|uts|user|mount|cgroup ro-bind=@file bind=@file tmpfs=@file proc=@file read-only=@file
            new-root kill spawn mdwe strict')
        operands=(@program @command)
        instead=([--call]='@file @file')
        ;;
    call)
        flags=(--quick-exit --strict --unshare-net --unshare-ipc --unshare-uts --unshare-user --unshare-cgroup -h --help
            --clear-groups --no-new-privs)
        takes=([--preload]=@file [--preload-timeout]='' [--memory]='auto freeze collapse off' [--socket]=@file
            [--server-uid]=@user [--wait]='' [--timeout]='' [--kill-after]='' [--trace]=@file [--sandbox]='untrusted
            pure-compute no-network no-exec none' [--ro-bind]=@file [--bind]=@file [--tmpfs]=@file [--proc]=@file
            [--seccomp-filter]=@file [--rlimit]='CPU= FSIZE= DATA= STACK= CORE= RSS= NPROC= NOFILE= MEMLOCK= AS= LOCKS=
            SIGPENDING= MSGQUEUE= NICE= RTPRIO= RTTIME=' [--nice]='' [--oom-score-adj]='' [--cpu-list]=''
            [--ionice]='none realtime best-effort idle' [--reuid]=@user [--regid]=@group [--groups]=''
            [--bounding-set]='' [--ambient-caps]='' [--inh-caps]='' [--securebits]='' [--pdeathsig]=@signal
            [--cgroup]=@file)
        behind=([--sandbox]='read=@file exec=@file write=@file make=@file connect= listen=
            refuse=exec|network|sockets|others|kernel|metadata|files|namespaces|fork
            allow=exec|network|sockets|others|kernel|metadata|files|namespaces|fork filter=@file
            limit=CPU:|FSIZE:|DATA:|STACK:|CORE:|RSS:|NPROC:|NOFILE:|AS:|LOCKS:|SIGPENDING:|MSGQUEUE:|MEMLOCK:
            unshare=net|ipc|uts|user|mount|cgroup ro-bind=@file bind=@file tmpfs=@file proc=@file read-only=@file
            new-root kill spawn mdwe strict')
        operands=(@entry @file)
        ;;
    map)
        flags=(-0 --null -X --fill --stdin --payload --pipe -k --ordered --tag --line-buffer -u --ungroup --tty
            --dry-run -t --verbose --resume --progress --quiet --quick-exit --strict --unshare-net --unshare-ipc
            --unshare-uts --unshare-user --unshare-cgroup -h --help --clear-groups --no-new-privs)
        takes=([-j]='' [-P]='' [--jobs]='' [--max-procs]='' [--call]=@entry [-a]=@file [--arg-file]=@file [-n]=''
            [--max-args]='' [--block]='' [--slice]='' [--timeout]='' [--kill-after]='' [--retries]='' [--halt]=''
            [--delay]='' [--load]='' [--json]=@file [--trace]=@file [--result]=@directory [--preload]=@file
            [--preload-timeout]='' [--memory]='auto freeze collapse off' [--socket]=@file [--server-uid]=@user
            [--wait]='' [--sandbox]='untrusted pure-compute no-network no-exec none' [--ro-bind]=@file [--bind]=@file
            [--tmpfs]=@file [--proc]=@file [--seccomp-filter]=@file [--rlimit]='CPU= FSIZE= DATA= STACK= CORE= RSS=
            NPROC= NOFILE= MEMLOCK= AS= LOCKS= SIGPENDING= MSGQUEUE= NICE= RTPRIO= RTTIME=' [--nice]=''
            [--oom-score-adj]='' [--cpu-list]='' [--ionice]='none realtime best-effort idle' [--reuid]=@user
            [--regid]=@group [--groups]='' [--bounding-set]='' [--ambient-caps]='' [--inh-caps]='' [--securebits]=''
            [--pdeathsig]=@signal [--cgroup]=@file)
        behind=([--sandbox]='read=@file exec=@file write=@file make=@file connect= listen=
            refuse=exec|network|sockets|others|kernel|metadata|files|namespaces|fork
            allow=exec|network|sockets|others|kernel|metadata|files|namespaces|fork filter=@file
            limit=CPU:|FSIZE:|DATA:|STACK:|CORE:|RSS:|NPROC:|NOFILE:|AS:|LOCKS:|SIGPENDING:|MSGQUEUE:|MEMLOCK:
            unshare=net|ipc|uts|user|mount|cgroup ro-bind=@file bind=@file tmpfs=@file proc=@file read-only=@file
            new-root kill spawn mdwe strict')
        operands=(@program @command)
        instead=([--call]='@file @file')
        ;;
    check)
        flags=(--strict --verbose --json -h --help)
        takes=([--preload]=@file [--timeout]='' [--memory]='auto freeze collapse off' [--sandbox]='untrusted
            pure-compute no-network no-exec none')
        behind=([--sandbox]='read=@file exec=@file write=@file make=@file connect= listen=
            refuse=exec|network|sockets|others|kernel|metadata|files|namespaces|fork
            allow=exec|network|sockets|others|kernel|metadata|files|namespaces|fork filter=@file
            limit=CPU:|FSIZE:|DATA:|STACK:|CORE:|RSS:|NPROC:|NOFILE:|AS:|LOCKS:|SIGPENDING:|MSGQUEUE:|MEMLOCK:
            unshare=net|ipc|uts|user|mount|cgroup ro-bind=@file bind=@file tmpfs=@file proc=@file read-only=@file
            new-root kill spawn mdwe strict')
        operands=(@file @file)
        ;;
    serve)
        flags=(--entries-only --as-server --fail-fast --auto-reload --takeover -h --help)
        takes=([--socket]=@file [--mode]='' [--allow-uid]=@user [--sandbox]='untrusted pure-compute no-network no-exec
            none' [--preload]=@file [--preload-timeout]='' [--threads]='warn fail ignore' [--memory]='auto freeze
            collapse off' [--standbys]='' [--ready-fd]='' [--metrics]=@file [--log-format]='lines json')
        behind=([--sandbox]='read=@file exec=@file write=@file make=@file connect= listen=
            refuse=exec|network|sockets|others|kernel|metadata|files|namespaces|fork
            allow=exec|network|sockets|others|kernel|metadata|files|namespaces|fork filter=@file
            limit=CPU:|FSIZE:|DATA:|STACK:|CORE:|RSS:|NPROC:|NOFILE:|AS:|LOCKS:|SIGPENDING:|MSGQUEUE:|MEMLOCK:
            unshare=net|ipc|uts|user|mount|cgroup ro-bind=@file bind=@file tmpfs=@file proc=@file read-only=@file
            new-root kill spawn mdwe strict')
        ;;
    stop)
        flags=(--json -h --help)
        takes=([--socket]=@file [--server-uid]=@user [--timeout]='')
        ;;
    reload)
        flags=(--json -h --help)
        takes=([--socket]=@file [--server-uid]=@user [--timeout]='')
        ;;
    ping)
        flags=(--ready --json -h --help)
        takes=([--socket]=@file [--server-uid]=@user [--wait]='')
        ;;
    stats)
        flags=(--json --prometheus -h --help)
        takes=([--socket]=@file [--server-uid]=@user)
        ;;
    ps)
        flags=(--all --pss --json -h --help)
        takes=([--socket]=@file [--server-uid]=@user [--sort]='age cpu mem pid')
        ;;
    top)
        flags=(--all --pss --json -h --help)
        takes=([--socket]=@file [--server-uid]=@user [--interval]='' [--count]='' [--sort]='age cpu mem pid')
        ;;
    *) return 1 ;;
    esac
}
# the end of what tools/manual writes

# `plain` is the word $1 without its quotes, which need not be closed.
_forkserver_unquote() {
    local i character quote=''
    plain=''
    for ((i = 0; i < ${#1}; i++)); do
        character=${1:i:1}
        if [ "$character" = "$quote" ]; then
            quote=''
        elif [ -z "$quote" ] && [[ $character == [\'\"] ]]; then
            quote=$character
        elif [ "$character" = \\ ] && [ "$quote" != "'" ]; then
            i=$((i + 1))
            plain+=${1:i:1}
        else
            plain+=$character
        fi
    done
}

# Readline cuts words at = and : too, as in --memory=auto and m.so:f. `words` are those up to the cursor, put together
# again, and `places` where each of them begins in COMP_WORDS. `last` is what Readline replaces of the last one.
_forkserver_join() {
    local rest=$COMP_LINE i piece blank before
    words=() places=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        piece=${COMP_WORDS[i]}
        blank=${rest%%[![:space:]]*}
        rest=${rest#"$blank"}
        if ((i == COMP_CWORD)); then
            before=$((COMP_POINT - ${#COMP_LINE} + ${#rest}))
            piece=${piece:0:before > 0 ? before : 0}
        fi
        if ((i == 0)) || [ -n "$blank" ]; then
            words+=("$piece") places+=("$i")
        else
            words[-1]+=$piece
        fi
        rest=${rest#"${COMP_WORDS[i]}"}
    done
    [[ $piece != [=:] ]] || piece=''
    _forkserver_unquote "$piece"
    last=$plain
}

# Offers those of the words from $3 on that begin with $2. $1 stands before them. One that ends with = has to go on.
_forkserver_offer() {
    local before=$1 begun=$2 word cut=$((${#1} + ${#2} - ${#last}))
    shift 2
    for word in "$@"; do
        [[ $word == "$begun"* ]] || continue
        [[ $word != *= ]] || compopt -o nospace 2>/dev/null
        word=$before$word
        COMPREPLY+=("${word:cut > 0 ? cut : 0}")
    done
}

# The same for what the arguments from $3 on have compgen find.
_forkserver_find() {
    local before=$1 begun=$2 found
    shift 2
    mapfile -t found < <(compgen "$@" -- "$begun")
    _forkserver_offer "$before" "$begun" "${found[@]}"
}

_forkserver_files() {
    compopt -o filenames 2>/dev/null
    _forkserver_find "$1" "$2" "${3:--f}"
}

# Those of PATH: a function, an alias or a word of the shell's is none.
_forkserver_programs() {
    local word found=()
    while IFS= read -r word; do
        ! type -P "$word" >/dev/null || found+=("$word")
    done < <(compgen -c -- "$2" | sort -u)
    _forkserver_offer "$1" "$2" "${found[@]}"
}

# The module of an entry point, and behind the colon a function of it.
_forkserver_entries() {
    local module=${2%%:*} found
    if [[ $2 == *:* ]]; then
        mapfile -t found < <(nm -D --defined-only -- "${module/#\~\//$HOME/}" 2>/dev/null | sed -n "s/^[^ ]* [TW] \([^@]*\).*/\1/p")
        _forkserver_offer "$1" "$2" "${found[@]/#/$module:}"
        return
    fi
    compopt -o nospace 2>/dev/null
    _forkserver_files "$1" "$2"
}

# The words of a list with commas: $3, and behind the first comma $4.
_forkserver_listed() {
    local begun=${2##*,} list word name
    list=${2%"$begun"}
    compopt -o nospace 2>/dev/null
    if [ -z "$list" ]; then
        # shellcheck disable=SC2086 # words
        _forkserver_offer "$1" "$2" $3
        return
    fi
    for word in $4; do
        name=${word%%=*}
        if [[ $word != *=* ]]; then
            _forkserver_offer "$1$list" "$begun" "$name"
        elif [[ $begun == "$name="* ]]; then
            _forkserver_argument "$1$list$name=" "${begun#*=}" "${word#*=}"
        else
            _forkserver_offer "$1$list" "$begun" "$name="
        fi
    done
}

# An argument that begins with $2, behind $1, by its kind or its words, $3. $4: what may follow these.
_forkserver_argument() {
    if [ -n "${4:-}" ]; then
        _forkserver_listed "$@"
        return
    fi
    case $3 in
    @file | @command) _forkserver_files "$1" "$2" ;;
    @directory) _forkserver_files "$1" "$2" -d ;;
    @entry) _forkserver_entries "$1" "$2" ;;
    @user) _forkserver_find "$1" "$2" -u ;;
    @group) _forkserver_find "$1" "$2" -g ;;
    @signal) _forkserver_find "$1" "$2" -A signal ;;
    @program)
        if [[ $2 == */* ]]; then _forkserver_files "$1" "$2"; else _forkserver_programs "$1" "$2"; fi
        ;;
    *)
        # shellcheck disable=SC2086 # words, with a blank or a bar between them
        _forkserver_offer "$1" "$2" ${3//|/ }
        ;;
    esac
}

# `option` is the long option that $1 means, which may be shortened as far as it is the only one.
_forkserver_resolve() {
    local name found=()
    option=$1
    [[ -z ${takes[$1]+set} ]] || return
    for name in "${flags[@]}" "${!takes[@]}"; do
        [ "$name" != "$1" ] || return
        [[ $name != "$1"* ]] || found+=("$name")
    done
    [ ${#found[@]} != 1 ] || option=${found[0]}
}

# Goes through the words from $1 to the one before the cursor. `option` is the one whose argument is at the cursor, or
# ''; `operand` is the number of the first operand in `words`, or 0; `given` are the options.
_forkserver_walk() {
    local at word long
    given=' ' operand=0
    for ((at = $1; at < ${#words[@]} - 1; at++)); do
        word=${words[at]} option=''
        case $word in
        --) operand=$((at + 1)) ;;
        --*)
            _forkserver_resolve "${word%%=*}"
            given+="$option "
            [[ $word != *=* && -n ${takes[$option]+set} ]] || option=''
            ;;
        -?*)
            # one letter after the other; the rest is the argument of the first one that takes one
            while [ ${#word} -gt 1 ] && [[ -z ${takes[${word:0:2}]+set} ]]; do word=-${word:2}; done
            [ ${#word} != 2 ] || option=$word
            ;;
        *) operand=$at ;;
        esac
        [ "$operand" = 0 ] || return
        [ -z "$option" ] || at=$((at + 1))
    done
    ((at == ${#words[@]})) || option=''
}

# What the helps call PROGRAM, MODULE, ARG and so on, at the cursor.
_forkserver_operand() {
    local kinds=("${operands[@]}") one
    for one in "${!instead[@]}"; do
        # shellcheck disable=SC2206 # words
        [[ $given != *" $one "* ]] || kinds=(${instead[$one]})
    done
    if [ "$operand" = 0 ] || ((operand == ${#words[@]} - 1)); then
        _forkserver_argument '' "$plain" "${kinds[0]:-}"
    elif [ "${kinds[1]:-}" = @command ] && declare -F _command_offset >/dev/null; then
        _command_offset "${places[operand]}"
    else
        _forkserver_argument '' "$plain" "${kinds[1]:-}"
    fi
}

_forkserver_complete() {
    if [ -n "$option" ]; then
        _forkserver_argument '' "$plain" "${takes[$option]}" "${behind[$option]:-}"
    elif [ "$operand" = 0 ] && [[ $plain == --*=* ]]; then
        _forkserver_resolve "${plain%%=*}"
        [[ -z ${takes[$option]+set} ]] || _forkserver_argument "${plain%%=*}=" "${plain#*=}" "${takes[$option]}" \
            "${behind[$option]:-}"
    elif [ "$operand" = 0 ] && [[ $plain == -* || -z $plain && ${#operands[@]} == 0 ]]; then
        _forkserver_offer '' "$plain" "${flags[@]}" "${!takes[@]}"
    else
        _forkserver_operand
    fi
}

_forkserver() {
    local words places last plain option='' operand=0 given=' '
    local commands flags operands
    local -A takes behind instead

    COMPREPLY=()
    _forkserver_join
    _forkserver_unquote "${words[-1]}"
    if [[ $plain == [\<\>]* ]]; then
        _forkserver_files '' "${plain#[<>]}"
    elif ((${#words[@]} == 2)) || { ((${#words[@]} == 3)) && [ "${words[1]}" = help ]; }; then
        _forkserver_table ''
        [[ $plain != -* ]] || commands=()
        [[ $plain == -* ]] || flags=()
        [ "${words[1]}" != help ] || flags=()
        _forkserver_offer '' "$plain" "${commands[@]}" "${flags[@]}"
    elif ((${#words[@]} > 2)) && _forkserver_table "${words[1]}"; then
        _forkserver_walk 2
        _forkserver_complete
    fi
}

complete -F _forkserver forkserver
