// Stand-in for tests, written from Android's documentation; the behaviour is ours, of what the module uses.
package android.graphics;

import org.jetbrains.annotations.NotNull;
import org.jetbrains.annotations.Nullable;

public final class Bitmap {
    public enum Config {
        ALPHA_8,
        RGB_565,
        ARGB_4444,
        ARGB_8888,
        RGBA_F16,
        HARDWARE,
        RGBA_1010102
    }

    private final int[] colors;
    private final int width;
    private final int height;
    private final Config config;
    private boolean recycled;

    private Bitmap(int[] colors, int width, int height, Config config) {
        this.colors = colors;
        this.width = width;
        this.height = height;
        this.config = config;
    }

    @NotNull
    public static Bitmap createBitmap(@NotNull int[] colors, int width, int height, @NotNull Config config) {
        return new Bitmap(colors.clone(), width, height, config);
    }

    public int getWidth() {
        return width;
    }

    public int getHeight() {
        return height;
    }

    @Nullable
    public Config getConfig() {
        return config;
    }

    public boolean isRecycled() {
        return recycled;
    }

    public void recycle() {
        recycled = true;
    }

    @Nullable
    public Bitmap copy(@NotNull Config other, boolean isMutable) {
        return new Bitmap(colors.clone(), width, height, other);
    }

    public void getPixels(@NotNull int[] pixels, int offset, int stride, int x, int y, int columns, int rows) {
        if (recycled) throw new IllegalStateException("Can't call getPixels() on a recycled bitmap!");
        if (config == Config.HARDWARE) throw new IllegalStateException("unable to getPixels(), pixel access is not supported on Config#HARDWARE bitmaps");
        for (int row = 0; row < rows; row++) {
            System.arraycopy(colors, (y + row) * width + x, pixels, offset + row * stride, columns);
        }
    }
}
