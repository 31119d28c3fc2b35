// SPDX-License-Identifier: Apache-2.0

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.reflect.InvocationTargetException;
import java.util.Arrays;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs main classes one after the other in one process: each line of standard
 * input is a class and its arguments, separated by tabs. After what a class
 * prints stands a line "\1 code" with its exit code.
 */
public class ManyTools {
    static class Ended extends Error {
        final int code;

        Ended(int code) {
            super("ended", null, false, false);
            this.code = code;
        }
    }

    public static void main(String[] none) throws Exception {
        System.setErr(System.out);
        int[] first = {-1};
        Exit.Procedure end = (code, message) -> {
            if (first[0] < 0) {
                first[0] = code;
            }
            throw new Ended(code);
        };
        Exit.setExitProcedure(end);
        Exit.setHaltProcedure(end);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        for (String line; (line = lines.readLine()) != null; ) {
            String[] words = line.split("\t", -1);
            first[0] = -1;
            int code = 0;
            try {
                Class.forName(words[0]).getMethod("main", String[].class).invoke(null, (Object) Arrays.copyOfRange(words, 1, words.length));
            } catch (InvocationTargetException e) {
                code = 1;
                if (!(e.getCause() instanceof Ended)) {
                    e.getCause().printStackTrace();
                }
            }
            System.out.println("\1 " + (first[0] < 0 ? code : first[0]));
            System.out.flush();
        }
    }
}
