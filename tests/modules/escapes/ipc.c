/* SPDX-License-Identifier: MIT */
/* Shared memory, semaphores and queues, whose names no path rule knows. */
#define _GNU_SOURCE
#include "escapes.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <unistd.h>

static int attach_memory(void) {
        const char *id = setting("ESCAPE_SHM");
        void *at;

        if (!id)
                return not_here("the test has made no segment");
        at = shmat(atoi(id), NULL, 0);
        if (at == (void *)-1)
                return -errno;
        shmdt(at);
        return 0;
}

static int look_at_memory(void) {
        const char *id = setting("ESCAPE_SHM");
        struct shmid_ds found;

        return id ? from(shmctl(atoi(id), IPC_STAT, &found)) : not_here("the test has made no segment");
}

static int make_memory(void) {
        int id = shmget(IPC_PRIVATE, 4096, 0600);

        if (id >= 0)
                shmctl(id, IPC_RMID, NULL);
        return from(id);
}

static int make_semaphores(void) {
        int id = semget(IPC_PRIVATE, 1, 0600);

        if (id >= 0)
                semctl(id, 0, IPC_RMID);
        return from(id);
}

static int use_semaphores(void) {
        struct sembuf nothing = { 0 };

        return let_through(semop(-1, &nothing, 1));
}

static int make_queue(void) {
        int id = msgget(IPC_PRIVATE, 0600);

        if (id >= 0)
                msgctl(id, IPC_RMID, NULL);
        return from(id);
}

static int use_queue(void) {
        return let_through(msgrcv(-1, NULL, 0, 0, IPC_NOWAIT));
}

static int open_message_queue(void) {
        const char *name = setting("ESCAPE_QUEUE");
        mqd_t queue;

        if (!name)
                return not_here("the test has made no queue");
        queue = mq_open(name, O_RDWR | O_NONBLOCK);
        if (queue == (mqd_t)-1)
                return -errno;
        mq_close(queue);
        return 0;
}

static int make_message_queue(void) {
        mqd_t queue = mq_open("/forkserver-escape", O_RDWR | O_CREAT, 0600, NULL);

        if (queue == (mqd_t)-1)
                return -errno;
        mq_close(queue);
        mq_unlink("/forkserver-escape");
        return 0;
}

static int unlink_message_queue(void) {
        return let_through(mq_unlink("/forkserver-escape-nothing"));
}

static int make_shared_memory(void) {
        int fd = shm_open("/forkserver-escape", O_RDWR | O_CREAT, 0600);

        if (fd < 0)
                return -errno;
        close(fd);
        shm_unlink("/forkserver-escape");
        return 0;
}

static int make_named_semaphore(void) {
        sem_t *semaphore = sem_open("/forkserver-escape", O_CREAT, 0600, 1);

        if (semaphore == SEM_FAILED)
                return -errno;
        sem_close(semaphore);
        sem_unlink("/forkserver-escape");
        return 0;
}

const struct attempt ipc_attempts[] = {
        { "attach_memory", attach_memory },
        { "look_at_memory", look_at_memory },
        { "make_memory", make_memory },
        { "make_semaphores", make_semaphores },
        { "use_semaphores", use_semaphores },
        { "make_queue", make_queue },
        { "use_queue", use_queue },
        { "open_message_queue", open_message_queue },
        { "make_message_queue", make_message_queue },
        { "unlink_message_queue", unlink_message_queue },
        { "make_shared_memory", make_shared_memory },
        { "make_named_semaphore", make_named_semaphore },
        { NULL, NULL },
};
