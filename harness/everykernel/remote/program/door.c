// The far end of everykernel's door: system calls with their buffers, for a loader that runs elsewhere.
//
// Serves requests on standard input and output, on the file that its one argument names, or, as a machine's first
// process, on the first virtio-serial port. It knows nothing of BPF, nor of files: a request is a list of steps, each a
// system call by its number or one of a few things that need this process's memory, with the buffers that they point to.
// remote/batch.py has the other half of each struct here; numbers are in this machine's own byte order and width.
//
// No library and no header: ARCH.S has what a compiler cannot say, and NR_* come from remote/calls.py.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;
typedef unsigned long word; // of a register

extern long call(long number, long a, long b, long c, long d, long e, long f); // a system call; -errno

#define LIMIT (16u << 20) // bytes of a request, and of its buffers
enum { STEPS = 64, BUFFERS = 1024, PATCHES = 1024, MEMORIES = 1024, ARGUMENTS = 6 };
enum { ENOENT = 2, EBADF = 9, EFAULT = 14, EMFILE = 24 };
enum { O_RDONLY = 0, O_RDWR = 2, AT_FDCWD = -100, AT_PAGESZ = 6 };

static const char magic[8] = "ekdoor1\n";

struct hello {
	char magic[8];
	u32 order; // 0x01020304
	u32 pointer, page, limit;
};

struct head {
	u32 size; // of what follows this field
	u32 buffers, patches, steps;
	u64 number; // comes back with the answer
};

struct buffer {
	u32 size;  // bytes that the steps see
	u32 given; // of these, how many came with the request, padded there to 8; the others are zero
};

struct patch { // the 8 bytes at `offset` of a buffer become the address of another, or of mapped memory
	u32 buffer, offset, to, unused;
};
#define OF_MEMORY 0x80000000u

enum { CALL, FILL, MAP, UNMAP, PEEK, POKE, FIND };
enum { VALUE, BUFFER, RESULT, MEMORY }; // what an argument is: itself, or the number of one of these

struct step {
	u32 kind;
	u32 call;      // the number of a system call
	u32 arguments; // 4 bits for each, from the lowest
	u32 unused;
	u64 value[ARGUMENTS];
};

struct reply {
	u32 size; // of what follows this field
	u32 changed;
	u64 number;
}; // then a result (s64) for each step, then for each buffer that changed:

struct changed {
	u32 buffer, size; // up to the last byte that is not what it was; then these bytes
};

struct memory {
	u8 *at;
	word size;
};

static u64 request[LIMIT / 8];
static u64 arena[LIMIT / 8];
static struct memory memories[MEMORIES];
static u8 *place[BUFFERS]; // of each buffer, in the arena
static const u64 *sent[BUFFERS]; // and where it is in the request
static u32 used[BUFFERS];
static s64 results[STEPS];
static int in, out, first; // descriptors; whether this is a machine's first process
static word page = 4096;

void *memset(void *to, int byte, word size)
{
	volatile u8 *at = to;
	while (size--)
		*at++ = byte;
	return to;
}

void *memcpy(void *to, const void *from, word size)
{
	volatile u8 *at = to;
	const volatile u8 *source = from;
	while (size--)
		*at++ = *source++;
	return to;
}

static word length(const char *text)
{
	word size = 0;
	while (text[size])
		size++;
	return size;
}

static long call3(long number, long a, long b, long c)
{
	return call(number, a, b, c, 0, 0, 0);
}

static void end(int code, const char *why)
{
	if (why) {
		call3(NR_write, 2, (long)why, length(why));
		call3(NR_write, 2, (long)"\n", 1);
	}
	for (;;)
		call3(NR_exit_group, code, 0, 0);
}

static void sleep_briefly(void)
{
	long span[2] = {0, 5000000}; // struct timespec: 5 ms
	call3(NR_nanosleep, (long)span, 0, 0);
}

// Copies 8 bytes at a time; both are aligned to 8, and what is behind the last bytes is ours too.
static void copy(u64 *to, const u64 *from, word size)
{
	for (word i = 0; i < (size + 7) / 8; i++)
		to[i] = from[i];
}

// Copies to or from memory that the kernel shares: words that it reads or writes at once are so here too.
static void copy_shared(u8 *to, const u8 *from, word size)
{
	if (size == 8 && sizeof(word) == 8 && !((word)to % 8) && !((word)from % 8)) {
		*(volatile u64 *)to = *(const volatile u64 *)from;
		return;
	}
	if (size == 4 && !((word)to % 4) && !((word)from % 4)) {
		*(volatile u32 *)to = *(const volatile u32 *)from;
		return;
	}
	memcpy(to, from, size);
}

// ---------------------------------------------------------------------------------------------------- the stream

static void receive(void *to, word size)
{
	u8 *at = to;
	while (size) {
		long got = call3(NR_read, in, (long)at, size);
		if (got < 0)
			end(1, "everykernel: the stream cannot be read");
		if (!got && !first)
			end(0, 0);
		if (!got) { // a port's host is not connected
			sleep_briefly();
			continue;
		}
		at += got;
		size -= got;
	}
}

static void send(const void *from, word size)
{
	const u8 *at = from;
	while (size) {
		long put = call3(NR_write, out, (long)at, size);
		if (put < 0)
			end(1, "everykernel: the stream cannot be written");
		if (!put)
			sleep_briefly();
		at += put;
		size -= put;
	}
}

static void greet(void)
{
	struct hello hello = {.order = 0x01020304, .pointer = sizeof(void *), .page = page, .limit = LIMIT};
	for (word i = 0; i < sizeof magic; i++)
		hello.magic[i] = magic[i];
	send(&hello, sizeof hello);
}

// ---------------------------------------------------------------------------------------------------- steps

static long map(word at, word size, long protection, long flags, long fd, u64 offset)
{
#if defined(__s390x__)
	long all[6] = {at, size, protection, flags, fd, offset};
	return call3(NR_mmap, (long)all, 0, 0);
#elif defined(NR_mmap2)
	return call(NR_mmap2, at, size, protection, flags, fd, offset >> 12);
#else
	return call(NR_mmap, at, size, protection, flags, fd, offset);
#endif
}

static int is_error(long result)
{
	return (word)result > (word)-4096;
}

static s64 remember(word wanted, u64 size, long protection, long flags, long fd, u64 offset)
{
	for (u32 i = 0; i < MEMORIES; i++) {
		if (memories[i].at)
			continue;
		long at = map(wanted, size, protection, flags, fd, offset);
		if (is_error(at))
			return at;
		memories[i] = (struct memory){(u8 *)at, size};
		return i;
	}
	return -EMFILE;
}

static struct memory *memory(u64 number)
{
	return number < MEMORIES && memories[number].at ? &memories[number] : 0;
}

static s64 find(const struct memory *where, const u8 *what, word size)
{
	for (word at = 0; size && at + size <= where->size; at++) {
		word same = 0;
		while (same < size && where->at[at + same] == what[same])
			same++;
		if (same == size)
			return at;
	}
	return -ENOENT;
}

static s64 fill(long fd, u8 *to, word size)
{
	word got = 0;
	while (got < size) {
		long more = call3(NR_read, fd, (long)to + got, size - got);
		if (more < 0 && !got)
			return more;
		if (more <= 0)
			break;
		got += more;
	}
	return got;
}

// Does what is no plain system call. Arguments: of memory its number, an offset, a buffer's address and size.
static s64 special(u32 kind, const u64 *value)
{
	if (kind == FILL)
		return fill(value[0], (u8 *)(word)value[1], value[2]);
	if (kind == MAP)
		return remember(value[5], value[0], value[1], value[2], value[3], value[4]);
	struct memory *where = memory(value[0]);
	u8 *bytes = (u8 *)(word)value[2];
	u64 offset = value[1], size = value[3];
	if (!where)
		return -EBADF;
	if (kind == UNMAP) {
		long done = call3(NR_munmap, (long)where->at, where->size, 0);
		where->at = 0;
		return done;
	}
	if (kind == FIND)
		return find(where, bytes, size);
	if (size > where->size || offset > where->size - size)
		return -EFAULT;
	if (kind == PEEK)
		copy_shared(bytes, where->at + offset, size);
	else
		copy_shared(where->at + offset, bytes, size);
	return size;
}

static s64 perform(const struct step *step, u32 number, u32 buffers)
{
	u64 value[ARGUMENTS];
	for (u32 i = 0; i < ARGUMENTS; i++) {
		u64 given = step->value[i];
		u32 kind = step->arguments >> 4 * i & 15;
		value[i] = given;
		if (kind == BUFFER) {
			if (given >= buffers)
				return -EFAULT;
			value[i] = (word)place[given];
		} else if (kind == RESULT) {
			if (given >= number)
				return -EFAULT;
			if (results[given] < 0) // what needs the result of what failed fails alike
				return results[given];
			value[i] = results[given];
		} else if (kind == MEMORY) {
			if (!memory(given))
				return -EBADF;
			value[i] = (word)memory(given)->at;
		}
	}
	if (step->kind != CALL)
		return step->kind <= FIND ? special(step->kind, value) : -EFAULT;
	return call(step->call, value[0], value[1], value[2], value[3], value[4], value[5]);
}

// ---------------------------------------------------------------------------------------------------- a request

// Takes the next part of the request; its end is the program's, as of anything else that no loader of ours asks.
static const void *take(u32 *at, u32 size, word many, word each)
{
	const void *found = (u8 *)request + *at;
	if (many > (size - *at) / each)
		end(1, "everykernel: the request is malformed");
	*at += many * each;
	return found;
}

static void arrange(const struct buffer *buffers, u32 many, u32 *at, u32 size)
{
	u32 where = 0; // words of the arena
	for (u32 i = 0; i < many; i++) {
		u32 words = buffers[i].size / 8 + 1;
		if (buffers[i].size > LIMIT - 8 || buffers[i].given > buffers[i].size || words > LIMIT / 8 - where)
			end(1, "everykernel: the request's buffers are too large");
		sent[i] = take(at, size, (buffers[i].given + 7) / 8, 8);
		place[i] = (u8 *)(arena + where);
		copy(arena + where, sent[i], buffers[i].given);
		for (u32 zero = (buffers[i].given + 7) / 8; zero < words; zero++)
			arena[where + zero] = 0;
		where += words;
	}
}

static void point(const struct patch *patches, u32 many, const struct buffer *buffers, u32 there)
{
	for (u32 i = 0; i < many; i++) {
		const struct patch *patch = &patches[i];
		u64 to = 0;
		if (patch->buffer >= there || buffers[patch->buffer].size < 8 || patch->offset > buffers[patch->buffer].size - 8)
			end(1, "everykernel: the request points from nowhere");
		if (!(patch->to & OF_MEMORY) && patch->to < there)
			to = (word)place[patch->to];
		else if (memory(patch->to & ~OF_MEMORY))
			to = (word)memory(patch->to & ~OF_MEMORY)->at;
		else
			end(1, "everykernel: the request points to nowhere");
		memcpy(place[patch->buffer] + patch->offset, &to, sizeof to);
	}
}

// The bytes up to the last that is not as it was sent; what was not sent was zero.
static u32 changed(const struct buffer *buffer, u32 number)
{
	const u8 *now = place[number], *then = (const u8 *)sent[number];
	u32 size = buffer->size;
	while (size > buffer->given && !(size % 8) && size - 8 >= buffer->given && !*(const u64 *)(now + size - 8))
		size -= 8;
	while (size > buffer->given && !now[size - 1])
		size--;
	if (size > buffer->given)
		return size;
	while (size && now[size - 1] == then[size - 1])
		size--;
	return size;
}

static void answer(u64 number, const struct buffer *buffers, u32 many, u32 steps)
{
	struct reply reply = {.size = sizeof reply - 4 + steps * sizeof *results, .number = number};
	for (u32 i = 0; i < many; i++) {
		used[i] = changed(&buffers[i], i);
		if (used[i]) {
			reply.changed++;
			reply.size += sizeof(struct changed) + used[i];
		}
	}
	send(&reply, sizeof reply);
	send(results, steps * sizeof *results);
	for (u32 i = 0; i < many; i++) {
		struct changed one = {i, used[i]};
		if (used[i]) {
			send(&one, sizeof one);
			send(place[i], used[i]);
		}
	}
}

static void serve(void)
{
	struct head *head = (struct head *)request;
	u32 at = sizeof *head, size;
	receive(request, 4);
	if (!((head->size ^ *(const u32 *)magic))) {
		receive((u8 *)request + 4, sizeof magic - 4);
		greet();
		return;
	}
	if (head->size > LIMIT - 4 || head->size < sizeof *head - 4)
		end(1, "everykernel: the request is too large");
	receive((u8 *)request + 4, head->size);
	size = head->size + 4;
	if (head->buffers > BUFFERS || head->patches > PATCHES || head->steps > STEPS)
		end(1, "everykernel: the request has too many parts");
	const struct buffer *buffers = take(&at, size, head->buffers, sizeof *buffers);
	const struct patch *patches = take(&at, size, head->patches, sizeof *patches);
	const struct step *steps = take(&at, size, head->steps, sizeof *steps);
	arrange(buffers, head->buffers, &at, size);
	// what a patch makes of a buffer is as it was sent: it is compared with that
	point(patches, head->patches, buffers, head->buffers);
	for (u32 i = 0; i < head->steps; i++)
		results[i] = perform(&steps[i], i, head->buffers);
	for (u32 i = 0; i < head->patches; i++) // an address is no news
		memcpy(place[patches[i].buffer] + patches[i].offset, (u8 *)sent[patches[i].buffer] + patches[i].offset, 8);
	answer(head->number, buffers, head->buffers, head->steps);
}

// ---------------------------------------------------------------------------------------------------- the first process

static void mount(const char *what, const char *where)
{
	call(NR_mount, (long)what, (long)where, (long)what, 0, 0, 0);
}

// Loads the modules that are listed, a line each: without those of the port, nobody can ask for more.
static void load_modules(void)
{
	long list = call3(NR_openat, AT_FDCWD, (long)"/everykernel/modules", O_RDONLY);
	char *text = (char *)arena, *line = text;
	s64 size = list < 0 ? 0 : fill(list, (u8 *)arena, LIMIT - 8);
	for (char *at = text; at < text + size; at++) {
		if (*at != '\n')
			continue;
		*at = 0;
		long module = call3(NR_openat, AT_FDCWD, (long)line, O_RDONLY);
		call3(NR_finit_module, module, (long)"", 0); // the host sees what is there
		call3(NR_close, module, 0, 0);
		line = at + 1;
	}
	call3(NR_close, list, 0, 0);
}

static int open_port(void)
{
	char path[] = "/dev/vport0p0";
	for (;;) { // the driver may still be looking for it
		for (char device = '0'; device <= '9'; device++) {
			for (char port = '0'; port <= '9'; port++) {
				path[10] = device, path[12] = port;
				long fd = call3(NR_openat, AT_FDCWD, (long)path, O_RDWR);
				if (fd >= 0)
					return fd;
			}
		}
		sleep_briefly();
	}
}

static void begin_machine(void)
{
	first = 1;
	mount("devtmpfs", "/dev");
	mount("proc", "/proc");
	mount("sysfs", "/sys");
	load_modules();
	in = out = open_port();
}

void start(long *stack)
{
	long count = stack[0];
	const char **arguments = (const char **)(stack + 1);
	long *after = stack + 1 + count + 1;
	while (*after++) // the environment
		;
	for (; after[0]; after += 2)
		if (after[0] == AT_PAGESZ)
			page = after[1];
	in = 0, out = 1;
	if (call3(NR_getpid, 0, 0, 0) == 1)
		begin_machine();
	else if (count > 1) {
		in = out = call3(NR_openat, AT_FDCWD, (long)arguments[1], O_RDWR);
		if (in < 0)
			end(1, "everykernel: the port cannot be opened");
	}
	for (;;)
		serve();
}
