// SPDX-License-Identifier: Apache-2.0

import java.io.*;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs the main classes of Kafka's tools, many in one process: a line names the class, its standard input and its arguments, with tabs
 * between them and \n for line ends. The answer is what the tool printed, each line behind a space, and a last line with its exit code.
 */
public final class Tools {
    private static final class Exited extends Error {
        final int code;

        Exited(int code) {
            super("exit", null, false, false);
            this.code = code;
        }
    }

    /** Standard output and error as the tools see them: Scala keeps the first stream it finds. */
    private static final class Switch extends OutputStream {
        volatile ByteArrayOutputStream to = new ByteArrayOutputStream();

        @Override public synchronized void write(int b) {
            to.write(b);
        }

        @Override public synchronized void write(byte[] b, int off, int len) {
            to.write(b, off, len);
        }
    }

    public static void main(String[] args) throws Exception {
        PrintStream answers = new PrintStream(System.out, false, "UTF-8");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        Switch out = new Switch();
        System.setOut(new PrintStream(out, true, "UTF-8"));
        System.setErr(System.out);
        Exit.setExitProcedure((code, message) -> exit(code));
        Exit.setHaltProcedure((code, message) -> exit(code));
        Exit.setShutdownHookAdder((name, hook) -> { });
        for (String line; (line = in.readLine()) != null; answers.flush()) {
            String[] words = line.split("\t", -1);
            System.setIn(new ByteArrayInputStream(words[1].replace("\\n", "\n").getBytes(StandardCharsets.UTF_8)));
            out.to = new ByteArrayOutputStream();
            exited = null;
            int code = run(words[0], Arrays.copyOfRange(words, 2, words.length));
            System.out.flush();
            for (String said : out.to.toString("UTF-8").split("\n", -1)) answers.println(" " + said);
            answers.println("." + code);
        }
        System.exit(0);
    }

    private static Exited exited;

    /** The first call counts: some tools catch what it throws, complain and exit again. */
    private static void exit(int code) {
        if (exited == null) exited = new Exited(code);
        throw exited;
    }

    private static int run(String name, String[] args) throws Exception {
        try {
            Class.forName(name).getMethod("main", String[].class).invoke(null, (Object) args);
            return 0;
        } catch (InvocationTargetException e) {
            if (exited != null) return exited.code;
            Throwable t = e.getCause();
            System.out.println("threw " + t);
            t.printStackTrace();
            return 1;
        }
    }
}
