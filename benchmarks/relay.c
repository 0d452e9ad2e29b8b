/*
 * relay: the least a server can do for load's work, as a yardstick: the limit of what the wire allows.
 *
 *     relay PORT
 *
 * It passes each update and presence message on to everybody else in its room, and nothing else: no document, no
 * log, no checks, no sign-in. What it receives in one turn goes to each member in one write. It answers the one
 * handshake that load sends, and is of no use for anything but measuring.
 */
#include "wire.h"

enum { NAME = 128, EVENTS = 512 };

typedef struct Room Room;

typedef struct {
    Line line;
    Room *room;
} Member;

/* What one member sent, up to this place in what the room passes on in this turn. */
typedef struct {
    Member *author;
    size_t end;
} Piece;

struct Room {
    char name[NAME];
    Room *next, *next_due;
    Member **members;
    int count, space;
    Buffer turn;
    Piece *pieces;
    int piece_count, piece_space, is_due;
};

static Room *rooms, *due;

static Room *room_called(const char *name, int size) {
    for (Room *r = rooms; r; r = r->next)
        if (!strncmp(r->name, name, size) && !r->name[size]) return r;
    Room *r = calloc(1, sizeof *r);
    memcpy(r->name, name, size);
    r->next = rooms;
    return rooms = r;
}

static void enter(Member *m, Room *r) {
    if (r->count == r->space) r->members = realloc(r->members, (r->space = r->space * 2 + 8) * sizeof *r->members);
    r->members[r->count++] = m;
    m->room = r;
}

static void leave(Member *m) {
    Room *r = m->room;
    for (int i = 0; r && i < r->count; i++)
        if (r->members[i] == m) {
            r->members[i] = r->members[--r->count];
            break;
        }
    for (int i = 0; r && i < r->piece_count; i++)
        if (r->pieces[i].author == m) r->pieces[i].author = NULL;
    hang_up(&m->line);
    free(m);
}

static void upgrade(Member *m) {
    static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    char *path = (char *)m->line.in.bytes + 4;
    if (!take_head(&m->line)) return;
    int size = strchr(path, ' ') - path;
    m->line.upgraded = 1;
    enter(m, room_called(path, size < NAME ? size : NAME - 1));
    add(&m->line.out, answer, sizeof answer - 1);
    flush(&m->line);
}

static void answer_step_1(Line *l) {
    static const uint8_t empty[] = {0x82, 5, SYNC, STEP_2, 2, 0, 0}, step_1[] = {0x82, 4, SYNC, STEP_1, 1, 0};
    add(&l->out, step_1, sizeof step_1);
    add(&l->out, empty, sizeof empty);
    flush(l);
}

static void pass_on(Member *m, Frame *f) {
    Room *r = m->room;
    size_t size = f->end - f->bytes;
    add_head(&r->turn, BINARY, size, PLAIN);
    add(&r->turn, f->bytes, size);
    if (r->piece_count == r->piece_space)
        r->pieces = realloc(r->pieces, (r->piece_space = r->piece_space * 2 + 16) * sizeof *r->pieces);
    r->pieces[r->piece_count++] = (Piece){m, r->turn.end};
    if (r->is_due) return;
    r->is_due = 1;
    r->next_due = due;
    due = r;
}

static void on_bytes(Member *m) {
    Frame f;
    if (!m->line.upgraded) upgrade(m);
    while (m->line.upgraded && take_frame(&m->line, &f)) {
        if (f.kind == CLOSE) m->line.closed = 1;
        if (f.kind != BINARY || f.end - f.bytes < 2) continue;
        if (f.bytes[0] == AWARENESS || (f.bytes[0] == SYNC && f.bytes[1] == UPDATE)) pass_on(m, &f);
        else if (f.bytes[0] == SYNC && f.bytes[1] == STEP_1) answer_step_1(&m->line);
    }
}

/* Gives each member what all others sent in this turn. */
static void end_turn(Room *r) {
    for (int i = 0; i < r->count; i++) {
        Member *m = r->members[i];
        size_t from = 0, to = 0;
        for (int k = 0; k < r->piece_count; k++) {
            if (r->pieces[k].author == m) {
                add(&m->line.out, r->turn.bytes + from, to - from);
                from = r->pieces[k].end;
            }
            to = r->pieces[k].end;
        }
        add(&m->line.out, r->turn.bytes + from, to - from);
        flush(&m->line);
    }
    r->turn.start = r->turn.end = 0;
    r->piece_count = r->is_due = 0;
}

static int listen_on(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (void *)&address, sizeof address)) perror("bind"), exit(1);
    listen(listener, 4096);
    fcntl(listener, F_SETFL, O_NONBLOCK);
    return listener;
}

int main(int count, char **words) {
    if (count != 2) fprintf(stderr, "usage: relay PORT\n"), exit(2);
    allow_many_files();
    int listener = listen_on(atoi(words[1]));
    struct epoll_event incoming = {EPOLLIN, {.ptr = NULL}}, events[EVENTS];
    poller = epoll_create1(0);
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &incoming);
    for (;;) {
        int n = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            Member *m = events[i].data.ptr;
            if (!m) {
                for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) begin(calloc(1, sizeof *m), fd);
                continue;
            }
            if (events[i].events & EPOLLOUT) flush_when_told(&m->line);
            if (events[i].events & ~EPOLLOUT) {
                receive(&m->line);
                on_bytes(m);
                if (m->line.closed) leave(m);
            }
        }
        for (; due; due = due->next_due) end_turn(due);
    }
}
