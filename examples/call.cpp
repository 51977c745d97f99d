// SPDX-License-Identifier: MIT
/* C++: each text is taken apart in a process of its own. One of them crashes the parser, and one is no text.
 * g++ -std=c++17 call.cpp $(pkg-config --cflags --libs libforkserver) && ./a.out */
#include <forkserver.hpp>

#include <algorithm>
#include <cstdlib>
#include <iostream>

/* What runs in the processes. */
static int count_words(int, char **) {
        std::string_view text = forkserver::worker::text();

        if (text == "deadly")
                std::abort();
        if (text.find('\0') != text.npos)
                return forkserver::worker::fail(1, "there is a NUL in it") < 0;
        auto blanks = std::count(text.begin(), text.end(), ' ');
        return forkserver::worker::set_result(std::to_string(blanks + 1) + " words") < 0;
}

int main(int argc, char **argv) {
        static const fsrv_entry entries[] = { { "count_words", count_words }, {} };
        using namespace std::chrono_literals;
        using namespace std::string_view_literals;

        if (fsrv_zygote_enter(argc, argv, entries, nullptr) < 0)
                return 1;
        auto server = forkserver::server::make({ FSRV_PRELOAD_MAIN });
        if (!server) {
                std::cerr << "call: " << server.error().text() << '\n';
                return 1;
        }
        auto request = forkserver::request::entry(":count_words").time_limit(10s);

        for (auto text : { "a few words"sv, "deadly"sv, "no\0text"sv }) {
                auto count = server->call(request, text);
                std::cout << (count ? count->text() : count.error().text()) << '\n';
        }

        /* The same for many, several at a time. */
        std::vector<forkserver::bytes> texts(100, forkserver::bytes_of("two words"));
        std::size_t good = 0;
        auto all = server->call_many(request, texts, [&](std::size_t, forkserver::expected<forkserver::output> count) {
                good += count && count->text() == "2 words";
        });
        std::cout << (all ? good : 0) << " more have two words\n";

        /* In a sandbox, which has no network, no programs and few files. */
        if (auto box = forkserver::sandbox::profile("untrusted").seal()) {
                auto words = server->call(forkserver::request::entry(":count_words").in(*box), "in a box");
                std::cout << (words ? words->text() : words.error().text()) << '\n';
        }

        /* A program, which may have 7 files open, and whose end is waited for. */
        const fsrv_limit files = { RLIMIT_NOFILE, 7, FSRV_LIMIT_SAME };
        fsrv_attributes few{};
        few.mask = FSRV_ATTRIBUTE_LIMITS;
        few.limits = &files;
        few.n_limits = 1;
        auto program = forkserver::request::program("sh").arguments({ "sh", "-c", "exit $(ulimit -n)" });
        auto shell = server->spawn(program.attributes(few));
        if (auto status = shell.value().wait())
                std::cout << "sh exited with " << status->exit_code << '\n';
}
