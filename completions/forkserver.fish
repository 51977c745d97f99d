# Completion of the command `forkserver` in Fish (3.1 or later).

complete -c forkserver -f

# __forkserver_takes: a command's options that take an argument. __forkserver_list: the words of an option's list with
# commas, and with a comma behind the option's name what may follow the first one.
#
# tools/manual writes what follows, from what `forkserver help` and `forkserver COMMAND --help` say
function __forkserver_takes
    switch $argv[1]
        case run
            printf '%s\n' --call --preload --preload-timeout --memory --socket --server-uid --wait --timeout --kill-after --trace --sandbox --ro-bind --bind --tmpfs --proc --seccomp-filter --debug --rlimit --nice --oom-score-adj --cpu-list --ionice --reuid --regid --groups --bounding-set --ambient-caps --inh-caps --securebits --pdeathsig --cgroup
        case call
            printf '%s\n' --preload --preload-timeout --memory --socket --server-uid --wait --timeout --kill-after --trace --sandbox --ro-bind --bind --tmpfs --proc --seccomp-filter --rlimit --nice --oom-score-adj --cpu-list --ionice --reuid --regid --groups --bounding-set --ambient-caps --inh-caps --securebits --pdeathsig --cgroup
        case map
            printf '%s\n' -j -P --jobs --max-procs --call -a --arg-file -n --max-args --block --slice --timeout --kill-after --retries --halt --delay --load --json --trace --result --preload --preload-timeout --memory --socket --server-uid --wait --sandbox --ro-bind --bind --tmpfs --proc --seccomp-filter --rlimit --nice --oom-score-adj --cpu-list --ionice --reuid --regid --groups --bounding-set --ambient-caps --inh-caps --securebits --pdeathsig --cgroup
        case check
            printf '%s\n' --preload --timeout --memory --sandbox
        case serve
            printf '%s\n' --socket --mode --allow-uid --sandbox --preload --preload-timeout --threads --memory --standbys --ready-fd --metrics --log-format
        case stop
            printf '%s\n' --socket --server-uid --timeout
        case reload
            printf '%s\n' --socket --server-uid --timeout
        case ping
            printf '%s\n' --socket --server-uid --wait
        case stats
            printf '%s\n' --socket --server-uid
        case ps
            printf '%s\n' --socket --server-uid --sort
        case top
            printf '%s\n' --socket --server-uid --interval --count --sort
    end
end

function __forkserver_list
    switch $argv[1]
        case --sandbox
            printf '%s\n' 'untrusted' 'pure-compute' 'no-network' 'no-exec' 'none'
        case --sandbox,
            echo 'read=@file'
            echo 'exec=@file'
            echo 'write=@file'
            echo 'make=@file'
            echo 'connect='
            echo 'listen='
            echo 'refuse=exec|network|sockets|others|kernel|metadata|files|namespaces|fork'
            echo 'allow=exec|network|sockets|others|kernel|metadata|files|namespaces|fork'
            echo 'filter=@file'
            echo 'limit=CPU:|FSIZE:|DATA:|STACK:|CORE:|RSS:|NPROC:|NOFILE:|AS:|LOCKS:|SIGPENDING:|MSGQUEUE:|MEMLOCK:'
            echo 'unshare=net|ipc|uts|user|mount|cgroup'
            echo 'ro-bind=@file'
            echo 'bind=@file'
            echo 'tmpfs=@file'
            echo 'proc=@file'
            echo 'read-only=@file'
            echo 'new-root'
            echo 'kill'
            echo 'spawn'
            echo 'mdwe'
            echo 'strict'
    end
end

complete -c forkserver -n __forkserver_at_name -f -a run -d 'run one program, or one function of a module, in a new process'
complete -c forkserver -n __forkserver_at_name -f -a call -d 'call one function of a module in a new process: bytes in, a result out'
complete -c forkserver -n __forkserver_at_name -f -a map -d 'run one process for each line of standard input'
complete -c forkserver -n __forkserver_at_name -f -a check -d 'show what preloading a module costs, and what speaks against forking after it'
complete -c forkserver -n __forkserver_at_name -f -a serve -d 'run a server that others use by a socket'
complete -c forkserver -n __forkserver_at_name -f -a stop -d 'let such a server finish its work and end'
complete -c forkserver -n __forkserver_at_name -f -a reload -d 'let such a server load its modules anew, without a gap'
complete -c forkserver -n __forkserver_at_name -f -a ping -d 'ask whether such a server answers'
complete -c forkserver -n __forkserver_at_name -f -a stats -d 'show what such a server counted'
complete -c forkserver -n __forkserver_at_name -f -a ps -d 'list the processes of such a server'
complete -c forkserver -n __forkserver_at_name -f -a top -d 'watch such a server and its processes'
complete -c forkserver -n '__forkserver_at command first' -f -a help -d 'show the help of a command'

complete -c forkserver -n '__forkserver_at command option' -s h -l help -d 'the same as \'help\''
complete -c forkserver -n '__forkserver_at command option' -l version -d 'show the version'

complete -c forkserver -n '__forkserver_at run option' -l call -r -F -a '(__forkserver_functions)' -d 'run this instead of a program'
complete -c forkserver -n '__forkserver_at run option' -l preload -r -F -d 'load MODULE into the server first'
complete -c forkserver -n '__forkserver_at run option' -l preload-timeout -x -d 'limit for loading all of them'
complete -c forkserver -n '__forkserver_at run option' -l memory -x -a 'auto freeze collapse off' -d 'what is done to the loaded memory, so that a process costs …'
complete -c forkserver -n '__forkserver_at run option' -l socket -r -F -d 'use the server that listens at PATH instead of a private one'
complete -c forkserver -n '__forkserver_at run option' -l server-uid -x -a '(__fish_complete_users)' -d 'the user that has to run that server, a name or a number'
complete -c forkserver -n '__forkserver_at run option' -l wait -x -d 'wait so long at most until that server listens'
complete -c forkserver -n '__forkserver_at run option' -l timeout -x -d 'end the process after this time'
complete -c forkserver -n '__forkserver_at run option' -l kill-after -x -d 'at the time-out send SIGTERM, and SIGKILL only after this …'
complete -c forkserver -n '__forkserver_at run option' -l quick-exit -d 'with --call'
complete -c forkserver -n '__forkserver_at run option' -l trace -r -F -d 'write a timeline to FILE'
complete -c forkserver -n '__forkserver_at run option' -l sandbox -x -a '(__forkserver_listed --sandbox)' -d 'lock the process in'
complete -c forkserver -n '__forkserver_at run option' -l strict -d 'fail if this system cannot enforce all of it'
complete -c forkserver -n '__forkserver_at run option' -l sandbox-learn -d 'close nothing, and say in the end what the run needed that …'
complete -c forkserver -n '__forkserver_at run option' -l ro-bind -r -F -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at run option' -l bind -r -F -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at run option' -l tmpfs -r -F -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at run option' -l proc -r -F -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at run option' -l unshare-net -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at run option' -l unshare-ipc -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at run option' -l unshare-uts -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at run option' -l unshare-user -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at run option' -l unshare-cgroup -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at run option' -l seccomp-filter -r -F -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at run option' -l direct -d 'run it in this very process, without a server'
complete -c forkserver -n '__forkserver_at run option' -l debug -x -d 'attach a debugger'
complete -c forkserver -n '__forkserver_at run option' -s h -l help -d 'show this help'
complete -c forkserver -n '__forkserver_at run option' -l rlimit -x -a 'CPU= FSIZE= DATA= STACK= CORE= RSS= NPROC= NOFILE= MEMLOCK= AS= LOCKS= SIGPENDING= MSGQUEUE= NICE= RTPRIO= RTTIME=' -d 'a limit, as NOFILE=64, AS=2G or CORE=unlimited'
complete -c forkserver -n '__forkserver_at run option' -l nice -x -d 'the priority, -20 to 19'
complete -c forkserver -n '__forkserver_at run option' -l oom-score-adj -x -d '-1000 to 1000'
complete -c forkserver -n '__forkserver_at run option' -l cpu-list -x -d 'processors, as 0-3,8'
complete -c forkserver -n '__forkserver_at run option' -l ionice -x -a 'none realtime best-effort idle' -d 'realtime, best-effort or idle'
complete -c forkserver -n '__forkserver_at run option' -l reuid -x -a '(__fish_complete_users)' -d 'the ids'
complete -c forkserver -n '__forkserver_at run option' -l regid -x -a '(__fish_complete_groups)' -d 'the ids'
complete -c forkserver -n '__forkserver_at run option' -l groups -x -d 'the ids'
complete -c forkserver -n '__forkserver_at run option' -l clear-groups -d 'the ids'
complete -c forkserver -n '__forkserver_at run option' -l bounding-set -x -d 'as -all,+net_bind_service'
complete -c forkserver -n '__forkserver_at run option' -l ambient-caps -x -d 'as -all,+net_bind_service'
complete -c forkserver -n '__forkserver_at run option' -l inh-caps -x -d 'as -all,+net_bind_service'
complete -c forkserver -n '__forkserver_at run option' -l securebits -x -d 'as +noroot'
complete -c forkserver -n '__forkserver_at run option' -l no-new-privs -d 'execve(2) gives no privileges any more'
complete -c forkserver -n '__forkserver_at run option' -l pdeathsig -x -a '(__forkserver_signals)' -d 'the signal for when the server ends'
complete -c forkserver -n '__forkserver_at run option' -l cgroup -r -F -d 'a directory of cgroups, version 2'
complete -c forkserver -n '__forkserver_at run first not --call' -f -a '(__forkserver_programs)'
complete -c forkserver -n '__forkserver_at run rest not --call' -f -a '(__forkserver_command_line)'
complete -c forkserver -n '__forkserver_at run first --call' -F
complete -c forkserver -n '__forkserver_at run rest --call' -F

complete -c forkserver -n '__forkserver_at call option' -l preload -r -F -d 'load MODULE into the server first'
complete -c forkserver -n '__forkserver_at call option' -l preload-timeout -x -d 'limit for loading all of them'
complete -c forkserver -n '__forkserver_at call option' -l memory -x -a 'auto freeze collapse off' -d 'what is done to the loaded memory, so that a process costs …'
complete -c forkserver -n '__forkserver_at call option' -l socket -r -F -d 'use the server that listens at PATH instead of a private one'
complete -c forkserver -n '__forkserver_at call option' -l server-uid -x -a '(__fish_complete_users)' -d 'the user that has to run that server, a name or a number'
complete -c forkserver -n '__forkserver_at call option' -l wait -x -d 'wait so long at most until that server listens'
complete -c forkserver -n '__forkserver_at call option' -l timeout -x -d 'end the process after this time'
complete -c forkserver -n '__forkserver_at call option' -l kill-after -x -d 'at the time-out send SIGTERM, and SIGKILL only after this …'
complete -c forkserver -n '__forkserver_at call option' -l quick-exit -d 'don\'t run exit functions and destructors of preloaded …'
complete -c forkserver -n '__forkserver_at call option' -l trace -r -F -d 'write a timeline to FILE'
complete -c forkserver -n '__forkserver_at call option' -l sandbox -x -a '(__forkserver_listed --sandbox)' -d 'lock the process in'
complete -c forkserver -n '__forkserver_at call option' -l strict -d 'fail if this system cannot enforce all of it'
complete -c forkserver -n '__forkserver_at call option' -l ro-bind -r -F -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at call option' -l bind -r -F -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at call option' -l tmpfs -r -F -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at call option' -l proc -r -F -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at call option' -l unshare-net -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at call option' -l unshare-ipc -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at call option' -l unshare-uts -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at call option' -l unshare-user -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at call option' -l unshare-cgroup -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at call option' -l seccomp-filter -r -F -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at call option' -s h -l help -d 'show this help'
complete -c forkserver -n '__forkserver_at call option' -l rlimit -x -a 'CPU= FSIZE= DATA= STACK= CORE= RSS= NPROC= NOFILE= MEMLOCK= AS= LOCKS= SIGPENDING= MSGQUEUE= NICE= RTPRIO= RTTIME=' -d 'a limit, as NOFILE=64, AS=2G or CORE=unlimited'
complete -c forkserver -n '__forkserver_at call option' -l nice -x -d 'the priority, -20 to 19'
complete -c forkserver -n '__forkserver_at call option' -l oom-score-adj -x -d '-1000 to 1000'
complete -c forkserver -n '__forkserver_at call option' -l cpu-list -x -d 'processors, as 0-3,8'
complete -c forkserver -n '__forkserver_at call option' -l ionice -x -a 'none realtime best-effort idle' -d 'realtime, best-effort or idle'
complete -c forkserver -n '__forkserver_at call option' -l reuid -x -a '(__fish_complete_users)' -d 'the ids'
complete -c forkserver -n '__forkserver_at call option' -l regid -x -a '(__fish_complete_groups)' -d 'the ids'
complete -c forkserver -n '__forkserver_at call option' -l groups -x -d 'the ids'
complete -c forkserver -n '__forkserver_at call option' -l clear-groups -d 'the ids'
complete -c forkserver -n '__forkserver_at call option' -l bounding-set -x -d 'as -all,+net_bind_service'
complete -c forkserver -n '__forkserver_at call option' -l ambient-caps -x -d 'as -all,+net_bind_service'
complete -c forkserver -n '__forkserver_at call option' -l inh-caps -x -d 'as -all,+net_bind_service'
complete -c forkserver -n '__forkserver_at call option' -l securebits -x -d 'as +noroot'
complete -c forkserver -n '__forkserver_at call option' -l no-new-privs -d 'execve(2) gives no privileges any more'
complete -c forkserver -n '__forkserver_at call option' -l pdeathsig -x -a '(__forkserver_signals)' -d 'the signal for when the server ends'
complete -c forkserver -n '__forkserver_at call option' -l cgroup -r -F -d 'a directory of cgroups, version 2'
complete -c forkserver -n '__forkserver_at call first' -F -a '(__forkserver_functions)'
complete -c forkserver -n '__forkserver_at call rest' -F

complete -c forkserver -n '__forkserver_at map option' -s j -s P -l jobs -x -d 'processes at a time'
complete -c forkserver -n '__forkserver_at map option' -l max-procs -x -d 'the same as --jobs'
complete -c forkserver -n '__forkserver_at map option' -l call -r -F -a '(__forkserver_functions)' -d 'run this for each item instead of PROGRAM'
complete -c forkserver -n '__forkserver_at map option' -s 0 -l null -d 'items end with NUL instead of a newline'
complete -c forkserver -n '__forkserver_at map option' -s a -l arg-file -r -F -d 'read items from FILE'
complete -c forkserver -n '__forkserver_at map option' -s n -l max-args -x -d 'give each process N items'
complete -c forkserver -n '__forkserver_at map option' -s X -l fill -d 'give each process as many items as it has room for'
complete -c forkserver -n '__forkserver_at map option' -l stdin -d 'the item is its process\'s standard input, with the newline'
complete -c forkserver -n '__forkserver_at map option' -l payload -d 'with --call'
complete -c forkserver -n '__forkserver_at map option' -l pipe -d 'blocks of the input are the processes\' standard input'
complete -c forkserver -n '__forkserver_at map option' -l block -x -d 'the size of such a block, as 64k or 10M'
complete -c forkserver -n '__forkserver_at map option' -l slice -x -d 'run only items K, K+N, K+2N and so on of the list, where N …'
complete -c forkserver -n '__forkserver_at map option' -s k -l ordered -d 'print outputs in the order of the items, not as they end'
complete -c forkserver -n '__forkserver_at map option' -l tag -d 'put the item and a TAB before each line of output'
complete -c forkserver -n '__forkserver_at map option' -l line-buffer -d 'print output line by line as it comes'
complete -c forkserver -n '__forkserver_at map option' -s u -l ungroup -d 'do not hold output back'
complete -c forkserver -n '__forkserver_at map option' -l tty -d 'lend the terminal to one process at a time, as its input …'
complete -c forkserver -n '__forkserver_at map option' -l dry-run -d 'print the command lines, run nothing'
complete -c forkserver -n '__forkserver_at map option' -l timeout -x -d 'kill a process, with its process group, after this time'
complete -c forkserver -n '__forkserver_at map option' -l kill-after -x -d 'send SIGTERM first, at the time-out and at the second ^C …'
complete -c forkserver -n '__forkserver_at map option' -l retries -x -d 'try an item that fails up to N times in all'
complete -c forkserver -n '__forkserver_at map option' -l halt -x -d 'start nothing new after N failures'
complete -c forkserver -n '__forkserver_at map option' -l delay -x -d 'let so much time pass between starts'
complete -c forkserver -n '__forkserver_at map option' -l load -x -d 'start nothing while the machine\'s load is N or more, as 4 …'
complete -c forkserver -n '__forkserver_at map option' -s t -l verbose -d 'print each command line on standard error before it runs'
complete -c forkserver -n '__forkserver_at map option' -l json -r -F -d 'write a report to FILE'
complete -c forkserver -n '__forkserver_at map option' -l trace -r -F -d 'write a timeline to FILE, as Chrome\'s trace events, which …'
complete -c forkserver -n '__forkserver_at map option' -l result -x -a '(__fish_complete_directories (__forkserver_token))' -d 'with --call'
complete -c forkserver -n '__forkserver_at map option' -l resume -d 'go on with FILE, which an earlier run has written'
complete -c forkserver -n '__forkserver_at map option' -l progress -d 'print a summary at the end, also when standard error is no …'
complete -c forkserver -n '__forkserver_at map option' -l quiet -d 'print neither progress nor summary on a terminal'
complete -c forkserver -n '__forkserver_at map option' -l quick-exit -d 'with --call'
complete -c forkserver -n '__forkserver_at map option' -l preload -r -F -d 'load module M once, before all'
complete -c forkserver -n '__forkserver_at map option' -l preload-timeout -x -d 'limit for loading all modules'
complete -c forkserver -n '__forkserver_at map option' -l memory -x -a 'auto freeze collapse off' -d 'what is done to the loaded memory, so that a process costs …'
complete -c forkserver -n '__forkserver_at map option' -l socket -r -F -d 'use the server that listens at PATH'
complete -c forkserver -n '__forkserver_at map option' -l server-uid -x -a '(__fish_complete_users)' -d 'the user that has to run that server, a name or a number'
complete -c forkserver -n '__forkserver_at map option' -l wait -x -d 'wait so long at most until that server listens'
complete -c forkserver -n '__forkserver_at map option' -l sandbox -x -a '(__forkserver_listed --sandbox)' -d 'lock each process in'
complete -c forkserver -n '__forkserver_at map option' -l strict -d 'fail if this system cannot enforce all of the sandbox'
complete -c forkserver -n '__forkserver_at map option' -l ro-bind -r -F -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at map option' -l bind -r -F -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at map option' -l tmpfs -r -F -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at map option' -l proc -r -F -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at map option' -l unshare-net -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at map option' -l unshare-ipc -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at map option' -l unshare-uts -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at map option' -l unshare-user -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at map option' -l unshare-cgroup -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at map option' -l seccomp-filter -r -F -d 'the same as WORDs of the sandbox'
complete -c forkserver -n '__forkserver_at map option' -s h -l help -d 'show this help'
complete -c forkserver -n '__forkserver_at map option' -l rlimit -x -a 'CPU= FSIZE= DATA= STACK= CORE= RSS= NPROC= NOFILE= MEMLOCK= AS= LOCKS= SIGPENDING= MSGQUEUE= NICE= RTPRIO= RTTIME=' -d 'a limit, as NOFILE=64, AS=2G or CORE=unlimited'
complete -c forkserver -n '__forkserver_at map option' -l nice -x -d 'the priority, -20 to 19'
complete -c forkserver -n '__forkserver_at map option' -l oom-score-adj -x -d '-1000 to 1000'
complete -c forkserver -n '__forkserver_at map option' -l cpu-list -x -d 'processors, as 0-3,8'
complete -c forkserver -n '__forkserver_at map option' -l ionice -x -a 'none realtime best-effort idle' -d 'realtime, best-effort or idle'
complete -c forkserver -n '__forkserver_at map option' -l reuid -x -a '(__fish_complete_users)' -d 'the ids'
complete -c forkserver -n '__forkserver_at map option' -l regid -x -a '(__fish_complete_groups)' -d 'the ids'
complete -c forkserver -n '__forkserver_at map option' -l groups -x -d 'the ids'
complete -c forkserver -n '__forkserver_at map option' -l clear-groups -d 'the ids'
complete -c forkserver -n '__forkserver_at map option' -l bounding-set -x -d 'as -all,+net_bind_service'
complete -c forkserver -n '__forkserver_at map option' -l ambient-caps -x -d 'as -all,+net_bind_service'
complete -c forkserver -n '__forkserver_at map option' -l inh-caps -x -d 'as -all,+net_bind_service'
complete -c forkserver -n '__forkserver_at map option' -l securebits -x -d 'as +noroot'
complete -c forkserver -n '__forkserver_at map option' -l no-new-privs -d 'execve(2) gives no privileges any more'
complete -c forkserver -n '__forkserver_at map option' -l pdeathsig -x -a '(__forkserver_signals)' -d 'the signal for when the server ends'
complete -c forkserver -n '__forkserver_at map option' -l cgroup -r -F -d 'a directory of cgroups, version 2'
complete -c forkserver -n '__forkserver_at map first not --call' -f -a '(__forkserver_programs)'
complete -c forkserver -n '__forkserver_at map rest not --call' -f -a '(__forkserver_command_line)'
complete -c forkserver -n '__forkserver_at map first --call' -F
complete -c forkserver -n '__forkserver_at map rest --call' -F

complete -c forkserver -n '__forkserver_at check option' -l preload -r -F -d 'the same as an operand'
complete -c forkserver -n '__forkserver_at check option' -l strict -d 'exit with 1 also if a module is risky'
complete -c forkserver -n '__forkserver_at check option' -l timeout -x -d 'limit for loading all of them'
complete -c forkserver -n '__forkserver_at check option' -l memory -x -a 'auto freeze collapse off' -d 'auto, freeze, collapse or off, as a server\'s'
complete -c forkserver -n '__forkserver_at check option' -l verbose -d 'also show what is done to each mapping of the loaded memory'
complete -c forkserver -n '__forkserver_at check option' -l sandbox -x -a '(__forkserver_listed --sandbox)' -d 'show instead what of a sandbox this system can enforce, and …'
complete -c forkserver -n '__forkserver_at check option' -l json -d 'print one JSON object instead'
complete -c forkserver -n '__forkserver_at check option' -s h -l help -d 'show this help'
complete -c forkserver -n '__forkserver_at check first' -F
complete -c forkserver -n '__forkserver_at check rest' -F

complete -c forkserver -n '__forkserver_at serve option' -l socket -r -F -d 'where to listen'
complete -c forkserver -n '__forkserver_at serve option' -l mode -x -d 'the socket\'s mode'
complete -c forkserver -n '__forkserver_at serve option' -l allow-uid -x -a '(__fish_complete_users)' -d 'let this user, a name or a number, spawn too'
complete -c forkserver -n '__forkserver_at serve option' -l entries-only -d 'run functions of preloaded modules alone'
complete -c forkserver -n '__forkserver_at serve option' -l as-server -d 'run everything as root, if you are root'
complete -c forkserver -n '__forkserver_at serve option' -l sandbox -x -a '(__forkserver_listed --sandbox)' -d 'lock all processes in'
complete -c forkserver -n '__forkserver_at serve option' -l preload -r -F -d 'load MODULE first'
complete -c forkserver -n '__forkserver_at serve option' -l preload-timeout -x -d 'limit for loading all modules, and for their fork handlers …'
complete -c forkserver -n '__forkserver_at serve option' -l threads -x -a 'warn fail ignore' -d 'what to do when modules leave threads running, which no …'
complete -c forkserver -n '__forkserver_at serve option' -l memory -x -a 'auto freeze collapse off' -d 'what is done to the loaded memory, so that a process costs …'
complete -c forkserver -n '__forkserver_at serve option' -l standbys -x -d 'processes kept ready, 1 to 64'
complete -c forkserver -n '__forkserver_at serve option' -l fail-fast -d 'end with 125 if the modules cannot be loaded at first'
complete -c forkserver -n '__forkserver_at serve option' -l auto-reload -d 'reload when a loaded file has been replaced on disk'
complete -c forkserver -n '__forkserver_at serve option' -l takeover -d 'take the socket over from the server that has it, when the …'
complete -c forkserver -n '__forkserver_at serve option' -l ready-fd -x -d 'write a newline to the open file descriptor N, and close …'
complete -c forkserver -n '__forkserver_at serve option' -l metrics -r -F -d 'answer HTTP requests at this socket, or at this port of the …'
complete -c forkserver -n '__forkserver_at serve option' -l log-format -x -a 'lines json' -d 'lines'
complete -c forkserver -n '__forkserver_at serve option' -s h -l help -d 'show this help'

complete -c forkserver -n '__forkserver_at stop option' -l socket -r -F -d 'where it listens'
complete -c forkserver -n '__forkserver_at stop option' -l server-uid -x -a '(__fish_complete_users)' -d 'the user that has to run it, a name or a number'
complete -c forkserver -n '__forkserver_at stop option' -l timeout -x -d 'wait no longer than this, in seconds or as in 500ms, 2m, 1h'
complete -c forkserver -n '__forkserver_at stop option' -l json -d 'print the answer as a JSON object'
complete -c forkserver -n '__forkserver_at stop option' -s h -l help -d 'show this help'

complete -c forkserver -n '__forkserver_at reload option' -l socket -r -F -d 'where it listens'
complete -c forkserver -n '__forkserver_at reload option' -l server-uid -x -a '(__fish_complete_users)' -d 'the user that has to run it, a name or a number'
complete -c forkserver -n '__forkserver_at reload option' -l timeout -x -d 'wait no longer than this, in seconds or as in 500ms, 2m, 1h'
complete -c forkserver -n '__forkserver_at reload option' -l json -d 'print the answer as a JSON object'
complete -c forkserver -n '__forkserver_at reload option' -s h -l help -d 'show this help'

complete -c forkserver -n '__forkserver_at ping option' -l socket -r -F -d 'where it listens'
complete -c forkserver -n '__forkserver_at ping option' -l server-uid -x -a '(__fish_complete_users)' -d 'the user that has to run it, a name or a number'
complete -c forkserver -n '__forkserver_at ping option' -l ready -d 'don\'t say yes before it has loaded its modules'
complete -c forkserver -n '__forkserver_at ping option' -l wait -x -d 'wait so long at most until it listens and has loaded its …'
complete -c forkserver -n '__forkserver_at ping option' -l json -d 'print the answer as a JSON object'
complete -c forkserver -n '__forkserver_at ping option' -s h -l help -d 'show this help'

complete -c forkserver -n '__forkserver_at stats option' -l socket -r -F -d 'where it listens'
complete -c forkserver -n '__forkserver_at stats option' -l server-uid -x -a '(__fish_complete_users)' -d 'the user that has to run it, a name or a number'
complete -c forkserver -n '__forkserver_at stats option' -l json -d 'print one JSON object instead'
complete -c forkserver -n '__forkserver_at stats option' -l prometheus -d 'print OpenMetrics text instead, with histograms of times'
complete -c forkserver -n '__forkserver_at stats option' -s h -l help -d 'show this help'

complete -c forkserver -n '__forkserver_at ps option' -l socket -r -F -d 'where it listens'
complete -c forkserver -n '__forkserver_at ps option' -l server-uid -x -a '(__fish_complete_users)' -d 'the user that has to run it, a name or a number'
complete -c forkserver -n '__forkserver_at ps option' -l all -d 'list its zygotes, standbys and others too, each with its …'
complete -c forkserver -n '__forkserver_at ps option' -l sort -x -a 'age cpu mem pid' -d 'the order'
complete -c forkserver -n '__forkserver_at ps option' -l pss -d 'let MEM have its share of shared memory too'
complete -c forkserver -n '__forkserver_at ps option' -l json -d 'print one JSON object instead'
complete -c forkserver -n '__forkserver_at ps option' -s h -l help -d 'show this help'

complete -c forkserver -n '__forkserver_at top option' -l socket -r -F -d 'where it listens'
complete -c forkserver -n '__forkserver_at top option' -l server-uid -x -a '(__fish_complete_users)' -d 'the user that has to run it, a name or a number'
complete -c forkserver -n '__forkserver_at top option' -l interval -x -d 'the time between two tables, in seconds or as in 500ms, 2m …'
complete -c forkserver -n '__forkserver_at top option' -l count -x -d 'print N tables and end, on a terminal too'
complete -c forkserver -n '__forkserver_at top option' -l all -d 'show its zygotes, standbys and others too, each with its …'
complete -c forkserver -n '__forkserver_at top option' -l sort -x -a 'age cpu mem pid' -d 'the order'
complete -c forkserver -n '__forkserver_at top option' -l pss -d 'let MEM have its share of shared memory too'
complete -c forkserver -n '__forkserver_at top option' -l json -d 'print a JSON object on a line instead of each table'
complete -c forkserver -n '__forkserver_at top option' -s h -l help -d 'show this help'
# the end of what tools/manual writes

# Prints the command (or "command" if it isn't there yet), where the cursor is ("option": an option may come; "first";
# "rest"), the place of the first operand, and the options that were given.
function __forkserver_look
    set -l words (commandline -opc)
    set -l takes (__forkserver_takes "$words[2]")
    set -l given
    set -l at 3
    if not set -q words[2]
        printf '%s\n' command option 2
        return
    end
    while set -q words[$at]
        switch $words[$at]
            case --
                set at (math $at + 1)
                set -q words[$at]; and printf '%s\n' $words[2] rest $at $given; or printf '%s\n' $words[2] first $at $given
                return
            case '--*=*'
                set -a given (string split -m 1 = -- $words[$at])[1]
            case '--*'
                set -a given $words[$at]
                contains -- $words[$at] $takes; and set at (math $at + 1)
            case '-?*'
                # one letter after the other; the rest is the argument of the first one that takes one
                set -l letters (string split '' -- (string sub -s 2 -- $words[$at]))
                while set -q letters[1]; and not contains -- -$letters[1] $takes
                    set -e letters[1]
                end
                test (count $letters) = 1; and set at (math $at + 1)
            case '*'
                printf '%s\n' $words[2] rest $at $given
                return
        end
        set at (math $at + 1)
    end
    printf '%s\n' $words[2] option $at $given
end

# Whether the cursor is at the command $1 and the place $2, and whether one of the options behind was given, or none of
# those behind "not". The first operand may be where an option may be.
function __forkserver_at
    set -l look (__forkserver_look)
    test "$look[1]" = $argv[1]; or return
    test "$look[2]" = $argv[2]; or test "$look[2] $argv[2]" = 'option first'; or return
    set -q argv[3]; or return 0
    for option in $look[4..-1]
        contains -- $option $argv[3..-1]; and test $argv[3] != not; and return 0
        contains -- $option $argv[3..-1]; and return 1
    end
    test $argv[3] = not
end

function __forkserver_at_name
    set -l words (commandline -opc)
    test (count $words) = 1; or test "$words[2..-1]" = help
end

# The token up to the cursor, without the option before it.
function __forkserver_token
    string replace -r -- '^--[a-z-]+=' '' (commandline -ct)
end

function __forkserver_signals
    kill -l | string split -n ' ' | string match -r '^[A-Z]+[0-9]?$' | string replace -r '^(SIG)?' SIG
end

function __forkserver_programs
    string match -q -- '-*' (commandline -ct); or complete --do-complete=(commandline -ct)
end

# What the program that is run takes.
function __forkserver_command_line
    set -l at (__forkserver_look)[3]
    set -l words (commandline -opc)
    complete --do-complete=(string join ' ' -- (string escape -- $words[$at..-1]) (commandline -ct))
end

# Behind the colon of an entry point: functions of its module.
function __forkserver_functions
    set -l module (string split -m 1 : -- (__forkserver_token))
    if set -q module[2]
        set -l path (string unescape -- $module[1])
        nm -D --defined-only -- (string replace -r '^~/' "$HOME/" -- $path) 2>/dev/null |
            string replace -rf '^\S* [TW] ([^@]*).*' "$path:\$1"
    end
end

# The words of a list with commas, of the option $1.
function __forkserver_listed
    set -l token (__forkserver_token)
    set -l begun (string replace -r -- '^.*,' '' $token)
    set -l before (string replace -r -- '[^,]*$' '' $token)
    if test -z "$before"
        __forkserver_list $argv[1]
        return
    end
    for word in (__forkserver_list $argv[1],)
        set -l parts (string split -m 1 = -- $word)
        if not set -q parts[2]
            echo $before$word
        else if not string match -q -- "$parts[1]=*" $begun
            echo $before$parts[1]=
        else if test $parts[2] = @file
            set -l value (string split -m 1 = -- $begun)[2]
            printf '%s\n' $before$parts[1]=(complete --do-complete="cat $value" | string split -f 1 \t)
        else
            printf '%s\n' $before$parts[1]=(string split '|' -- $parts[2])
        end
    end
end
