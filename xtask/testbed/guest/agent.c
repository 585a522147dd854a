// The only program of a testbed guest: process 1 of a small Linux kernel.
//
// It beats (one numbered line every BEAT_MS milliseconds) and makes the load it is told to make.
// Its counters live in guest memory and start at 0 at boot: a sequence number that goes back
// means that the guest was restarted, and a page that does not hold what was last written to it
// means that a migration lost memory.
//
// Lines to the host, over the serial console:
//   READY UPTIME_MS                       once, after boot
//   BEAT SEQ UPTIME_MS PAGES BAD          PAGES written so far, BAD of them found damaged
//   OK ...  |  ERR ...                    the answer to a command
// Lines from the host:
//   load cpu=PCT dirty=MIBPS over=MIB     PCT of one vCPU (300 = three vCPUs busy) and memory
//                                         rewritten at MIBPS MiB/s within a working set of MIB MiB
//   beat MS                               the time between heartbeats
//   off                                   power off
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull
#define PAGE 4096u
#define WORDS_PER_PAGE (PAGE / sizeof(uint64_t))
#define PAGES_PER_MIB 256u
#define MAX_WORKERS 64

// Shared by all processes of the guest.
struct counters {
	volatile uint64_t pages; // written by the memory worker
	volatile uint64_t bad;	 // pages that did not hold what was last written
};

static struct counters *counters;
static int console = STDOUT_FILENO;
static pid_t workers[MAX_WORKERS];
static unsigned worker_count;
static unsigned beat_ms = 100;

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void sleep_ns(uint64_t ns)
{
	struct timespec t = { .tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S) };
	nanosleep(&t, NULL);
}

static void say(const char *format, ...)
{
	char line[192];
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	if (length >= (int)sizeof line)
		length = (int)sizeof line - 1;
	for (int done = 0; done < length;) {
		ssize_t n = write(console, line + done, (size_t)(length - done));
		if (n <= 0)
			return;
		done += (int)n;
	}
}

// Busy for `percent` of every 20 ms. The duty is in wall time, so that time spent waiting for a
// physical CPU counts as wanted: run time plus run delay stays at `percent`.
static void burn(unsigned percent)
{
	const uint64_t period = 20 * NS_PER_MS, busy = period * percent / 100;
	for (;;) {
		uint64_t start = now_ns();
		volatile uint64_t work = 0;
		while (now_ns() - start < busy)
			for (int i = 0; i < 2000; i++)
				work += (uint64_t)i;
		if (percent < 100)
			sleep_ns(period - busy);
	}
}

static uint64_t mark(size_t page, uint64_t round)
{
	return (page + 1) * 0x9e3779b97f4a7c15ull + round;
}

// Rewrites the first and the last word of one page after the other, round and round, and looks
// first whether both still hold what the round before left there.
static void write_pages(unsigned mib_per_s, unsigned working_set_mib)
{
	size_t pages = (size_t)working_set_mib * PAGES_PER_MIB;
	uint64_t *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED) {
		say("ERR no memory for a working set of %u MiB\n", working_set_mib);
		_exit(1);
	}
	uint64_t noise = 88172645463325252ull; // xorshift64: pages that do not compress
	for (size_t i = 0; i < pages * WORDS_PER_PAGE; i++) {
		noise ^= noise << 13;
		noise ^= noise >> 7;
		noise ^= noise << 17;
		memory[i] = noise;
	}
	for (size_t p = 0; p < pages; p++) {
		memory[p * WORDS_PER_PAGE] = mark(p, 0);
		memory[p * WORDS_PER_PAGE + WORDS_PER_PAGE - 1] = mark(p, 0);
	}

	const uint64_t pages_per_s = (uint64_t)mib_per_s * PAGES_PER_MIB;
	const uint64_t burst = pages_per_s / 10 + 1; // never more than 0.1 s to catch up
	uint64_t start = now_ns(), done = 0, round = 0;
	size_t page = 0;
	for (;;) {
		uint64_t due = (now_ns() - start) / NS_PER_MS * pages_per_s / 1000;
		if (due > done + burst) {
			start = now_ns();
			done = 0;
			due = burst;
		}
		for (; done < due; done++) {
			uint64_t *first = memory + page * WORDS_PER_PAGE;
			uint64_t *last = first + WORDS_PER_PAGE - 1;
			if (*first != mark(page, round) || *last != mark(page, round))
				counters->bad++;
			*first = *last = mark(page, round + 1);
			counters->pages++;
			if (++page == pages) {
				page = 0;
				round++;
			}
		}
		sleep_ns(2 * NS_PER_MS);
	}
}

static void stop_workers(void)
{
	for (unsigned i = 0; i < worker_count; i++) {
		kill(workers[i], SIGKILL);
		waitpid(workers[i], NULL, 0);
	}
	worker_count = 0;
}

static void load(unsigned cpu_percent, unsigned mib_per_s, unsigned working_set_mib)
{
	stop_workers();
	for (unsigned rest = cpu_percent; rest > 0 && worker_count < MAX_WORKERS - 1;) {
		unsigned percent = rest > 100 ? 100 : rest;
		rest -= percent;
		pid_t pid = fork();
		if (pid == 0)
			burn(percent);
		if (pid > 0)
			workers[worker_count++] = pid;
	}
	if (mib_per_s > 0) {
		pid_t pid = fork();
		if (pid == 0)
			write_pages(mib_per_s, working_set_mib);
		if (pid > 0)
			workers[worker_count++] = pid;
	}
	say("OK load cpu=%u dirty=%u over=%u\n", cpu_percent, mib_per_s, working_set_mib);
}

static void obey(const char *line)
{
	unsigned cpu, dirty, over, ms;
	if (line[0] == '\0')
		return;
	if (sscanf(line, "load cpu=%u dirty=%u over=%u", &cpu, &dirty, &over) == 3 &&
	    (dirty == 0 || over > 0)) {
		load(cpu, dirty, over);
	} else if (sscanf(line, "beat %u", &ms) == 1 && ms > 0) {
		beat_ms = ms;
		say("OK beat %u\n", ms);
	} else if (strcmp(line, "off") == 0) {
		say("OK off\n");
		reboot(RB_POWER_OFF);
	} else {
		say("ERR unknown command: %.60s\n", line);
	}
}

static void open_console(void)
{
	// The kernel opens /dev/console as 0, 1 and 2 of its first process.
	struct termios settings;
	if (tcgetattr(console, &settings) == 0) {
		cfmakeraw(&settings);
		tcsetattr(console, TCSANOW, &settings);
	}
}

int main(void)
{
	open_console();
	counters = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counters == MAP_FAILED) {
		say("ERR no memory\n");
		return 1;
	}
	// A kernel command-line word NAME=VALUE becomes an environment variable of process 1.
	const char *given = getenv("BEAT_MS");
	if (given && atoi(given) > 0)
		beat_ms = (unsigned)atoi(given);
	say("READY %llu\n", (unsigned long long)(now_ns() / NS_PER_MS));

	char line[128];
	size_t length = 0;
	uint64_t sequence = 0, next = now_ns();
	for (;;) {
		uint64_t now = now_ns();
		if (now >= next) {
			say("BEAT %llu %llu %llu %llu\n", (unsigned long long)sequence++,
			    (unsigned long long)(now / NS_PER_MS),
			    (unsigned long long)counters->pages,
			    (unsigned long long)counters->bad);
			next += beat_ms * NS_PER_MS;
			if (next <= now) // after a pause: no burst of late beats
				next = now + beat_ms * NS_PER_MS;
			continue;
		}
		struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
		struct timespec wait = { .tv_sec = (time_t)((next - now) / NS_PER_S),
					 .tv_nsec = (long)((next - now) % NS_PER_S) };
		if (ppoll(&input, 1, &wait, NULL) <= 0)
			continue;
		char byte;
		if (read(STDIN_FILENO, &byte, 1) != 1)
			continue;
		if (byte == '\n' || byte == '\r') {
			line[length] = '\0';
			length = 0;
			obey(line);
		} else if (length < sizeof line - 1) {
			line[length++] = byte;
		}
	}
}
